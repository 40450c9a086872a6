"""Synthetic textbooks and exercises (arXiv 2412.16423 §2.1): prompts, generators, filters, and a resumable run."""
