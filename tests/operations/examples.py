"""One or more examples of every operation, by name and case, for the generated tests."""

from typing import Any

import pictures
import pyvips

from proxy.smartcrop.subject import Region, RegionKind, Subject

EXAMPLES: dict[str, dict[str, dict[str, Any]]] = {
    "resize": {
        "cover": {"width": 120, "height": 120},
        "contain": {"width": 120, "height": 120, "fit": "contain", "background": "#336699"},
        "blur": {"width": 120, "height": 120, "fit": "contain", "background": "blur"},
        "fill": {"width": 60, "height": 120, "fit": "fill"},
        "inside": {"width": 120, "height": 120, "fit": "inside"},
        "outside": {"width": 120, "height": 120, "fit": "outside"},
        "one_side": {"width": 90},
        "half": {"width": 0.5},
        "ratio": {"width": 90, "ratio": "1x1"},
        "enlarged": {"width": 500, "dpr": 1.2},
        "east": {"width": 60, "height": 120, "position": "east"},
        "share": {"width": 60, "height": 120, "position": "0.2,0.5"},
        "smart": {"width": 60, "height": 120, "position": "smart"},
    },
    "thumbnail": {
        "fit": {"width": 120, "height": 120},
        "fill": {"width": 60, "height": 120, "fit": "fill", "gravity": "northeast"},
        "fill_down": {"width": 300, "height": 300, "fit": "fill-down"},
        "enlarged": {"width": 200, "height": 200, "fit": "fill", "enlarge": True},
        "smart": {"width": 40, "height": 40, "fit": "fill", "gravity": "smart", "x_zoom": 2.0},
    },
    "scale_to_box": {
        "cover": {"width": 300, "height": 300, "position": "northwest"},
        "contain": {"width": 60, "height": 120, "fit": "contain", "position": "south"},
        "auto": {"width": 60, "height": 120, "fit": "contain", "background": "auto"},
        "fill": {"width": 300, "height": 200, "fit": "fill"},
        "inside": {"width": 300, "height": 60, "fit": "inside"},
        "outside": {"width": 60, "height": 50, "fit": "outside"},
        "enlarged": {"width": 250, "height": 200, "fit": "inside", "enlarge": True},
        "smart": {"width": 40, "height": 90, "position": "smart"},
    },
    "fit_box": {
        "focal": {"width": 60, "height": 120, "focal": ["90x40x110x60"]},
        "original": {"width": 60, "height": "original", "enlarge": False},
        "inside": {"width": 90, "height": 120, "fit": "inside", "adaptive": True, "enlarge": True},
        "outside": {"width": 60, "height": 120, "fit": "outside", "scale": 0.5},
        "smart": {"width": 60, "height": 120, "position": "smart"},
        "stretched": {"width": 60, "height": 120, "fit": "fill"},
    },
    "crop_region": {
        "pixels": {"left": 40, "top": 30, "right": 4000, "bottom": 60},
        "fractions": {"left": 0.1, "top": 0, "right": 0.5, "bottom": 1, "is_fraction": True},
    },
    "shift_colors": {
        "brighter": {"red": 20, "green": 20, "blue": 20},
        "warmer": {"red": 10, "blue": -30},
    },
    "crop_to": {
        "fraction": {"width": 0.5, "height": 60, "gravity": "west", "x_offset": 10},
        "smart": {"width": 50, "height": 50, "gravity": "smart"},
    },
    "canvas": {
        "size": {"width": 200, "height": 130, "gravity": "southeast", "x_offset": 5},
        "ratio": {"width": 1, "height": 1, "is_ratio": True, "background": "#336699"},
        "auto": {"width": 200, "height": 130, "background": "auto"},
        "blur": {"width": 90, "height": 200, "background": "blur", "adaptive": True},
    },
    "crop": {
        "disc": {"left_in_px": 40, "top_in_px": 30, "width_in_px": 30, "height_in_px": 25},
        "ratio": {"ratio": "16x9", "position": "north"},
        "shares": {"left": 0.1, "top": 0.2, "width": 0.5, "height": 0.5},
        "square": {"left": 0.15, "width": 40, "ratio": "1x1"},
    },
    "smart_crop": {
        "tall": {"width": 60, "height": 120},
        "middle": {"width": 9, "height": 9, "focus": "center"},
        "ratio": {"ratio": "1x2"},
        "half": {"height": 0.5, "ratio": "1x1"},
    },
    "lqip": {"default": {}, "larger": {"size": 40}},
    "extend": {
        "color": {"top": 3, "bottom": 6, "left": 9, "right": 12, "hex_color": "#f80"},
        "transparent": {"top": 3, "bottom": 6, "left": 9, "right": 12, "hex_color": "transparent"},
        "blur": {"top": 3, "bottom": 6, "left": 9, "right": 40, "hex_color": "blur"},
    },
    "pad": {
        "white": {"width": 200, "height": 200, "position": "north"},
        "dominant": {"width": 200, "height": 200, "background": "dominant"},
    },
    "trim": {
        "default": {},
        "distance": {"threshold": 20, "corner": "southeast", "metric": "euclidean"},
        "color": {"threshold": 5, "hex_color": "#ff00ff"},
    },
    "rotate": {
        "quarter": {"angle": 90},
        "slanted": {"angle": 30.5, "hex_color": "#ffffff"},
        "transparent": {"angle": 30.5, "hex_color": "transparent"},
    },
    "flip": {"": {}},
    "flop": {"": {}},
    "round_corners": {
        "radius": {"radius": 20},
        "circle": {"radius": "circle"},
        "filled": {"radius": 20, "hex_color": "#00f"},
        "elliptic": {"radius": 30, "vertical_radius": 10},
    },
    "blur": {"light": {"sigma": 1.5}, "strong": {"sigma": 30}},
    "blur_detections": {
        "none": {"sigma": 5},
        "object": {"kind": "object"},
        "everything": {"sigma": 8, "if_none": "cover"},
    },
    "pixelate_detections": {
        "none": {},
        "auto": {"kind": "auto"},
        "larger": {"size": 20, "kind": "object"},
    },
    "sharpen": {"default": {}, "strong": {"sigma": 4}, "slight": {"sigma": 1, "strength": 0.5}},
    "denoise": {"three": {"size": 3}, "even": {"size": 4}},
    "pixelate": {"eight": {"size": 8}},
    "modulate": {
        "brighter": {"brightness": 1.3},
        "gray": {"saturation": 0},
        "turned": {"hue": 90},
    },
    "contrast": {"more": {"factor": 1.5}},
    "auto_contrast": {"": {}},
    "gamma": {"brighter": {"gamma": 2.2}},
    "grayscale": {"": {}},
    "tint": {"sepia": {"hex_color": "#704214"}},
    "invert_colors": {"": {}},
    "threshold": {"gray": {"value": 128}, "channels": {"value": 128, "is_grayscale": False}},
    "opacity": {"half": {"opacity": 50}},
    "remove_transparency": {"yellow": {"hex_color": "#ff0"}},
    "remove_background": {"clear": {}, "filled": {"background_hex_color": "#0a0"}},
    "upscale": {"twice": {"factor": 2}},
    "gradient": {
        "down": {"opacity": 0.8},
        "left": {"opacity": 1, "hex_color": "#f00", "angle": 90, "start": 0.2, "stop": 0.7},
    },
    "watermark": {
        "fitted": {"source": "logos:mark.png", "scale": 0.5, "height_scale": 0.1, "x_offset": 0.1},
        "corner": {"source": "logos:mark.png", "x_offset": 5, "y_offset": 5},
        "tiled": {"source": "logos:mark.png", "scale": 0.2, "opacity": 50, "tile": True},
        "row": {
            "source": "logos:mark.png",
            "scale": 0.3,
            "position": "south",
            "tile": True,
            "tile_direction": "horizontal",
        },
        "multiplied": {
            "source": "logos:mark.png",
            "position": "center",
            "blend_mode": "multiply",
            "steps": [
                {"type": "resize", "width_in_px": 90},
                {"type": "rotate", "angle_in_degrees": 20, "hex_color": "transparent"},
                {"type": "grayscale"},
            ],
        },
    },
    "text": {
        "south": {"text": "Grüße <b>&", "size": 24},
        "wrapped": {
            "text": "one two three four",
            "size": 40,
            "position": "northwest",
            "hex_color": "#f00",
        },
        "boxed": {
            "text": "Two\nlines",
            "size": 28,
            "position": "center",
            "hex_color": "#fff",
            "weight": "bold",
            "stroke": 3,
            "stroke_hex_color": "#903",
            "box_hex_color": "#fd6",
            "box_padding": 6,
            "line_spacing": 4,
            "align": "right",
            "opacity": 90,
        },
    },
    "page": {"first": {"number": 1}},
    "frames": {"first": {"first": 1, "last": 1}},
    "keep": {"copyright": {}},
    "strip": {"": {}},
    "pass_through": {"webp_only": {"formats": ["webp"]}},
    "limit": {"generous": {"megapixels": 1, "frames": 3}},
    "quality": {"low": {"quality": 20, "webp": 30}},
    "convert": {
        "webp": {"format": "webp", "quality": 60},
        "gif": {"format": "gif"},
        "lossless": {"format": "webp", "lossless": True, "effort": 1},
    },
    "encode": {"effort": {"encoder": "webp", "effort": 0}},
    "compress_to_size": {"small": {"max_file_size_in_bytes": 3000}},
}

MARK = pictures.encode(pictures.translucent_scene(40, 30))

CASES = [(name, case) for name, cases in EXAMPLES.items() for case in cases]

# The scene's red disc. Detectors have tests of their own.
DISC = Subject((Region(0.2, 0.3, 0.45, 0.6, weight=1, kind="object"),))


class DiscDetector:
    def detect(self, *_frames: pyvips.Image) -> Subject:
        return DISC

    def can_find(self, _kind: RegionKind) -> bool:
        return True
