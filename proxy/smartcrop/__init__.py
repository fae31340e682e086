"""Where the eye goes: detectors find evidence, and the window is placed by it."""
