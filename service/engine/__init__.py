"""How a model is computed: loaded, fused, warmed up, on a CPU or a GPU."""
