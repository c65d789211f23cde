"""Who lives and who dies: sessions on request, and the end of each."""
