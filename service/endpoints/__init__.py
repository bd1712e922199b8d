"""What a model is asked and what it answers: JSON, forms, explanations."""
