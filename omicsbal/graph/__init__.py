"""Who resembles whom: similarity networks of patients, fused over the modalities."""
