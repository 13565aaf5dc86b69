"""The databases that LatentDB is measured beside."""
