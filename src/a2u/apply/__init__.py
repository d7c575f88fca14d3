"""What one does with a trained network: predict, cut out, export, evaluate elsewhere."""
