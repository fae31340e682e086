"""What a running process needs: background tasks, single flight, deadlines, private folders."""
