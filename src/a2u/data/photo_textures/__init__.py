"""Training pictures whose alphas are generated and whose colours are those of photographs."""
