"""Cross-encoders: a query and a document in, one score out."""
