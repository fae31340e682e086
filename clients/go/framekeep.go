// Package framekeep builds signed links for a Framekeep server.
//
//	links, err := framekeep.NewSigner("https://img.example.com", os.Getenv("FRAMEKEEP_KEY"))
//	url, err := links.URL("https://cdn.example.com/u/42.jpg", "resize:800:600", "convert:auto")
//
// Steps are as in a link; Step writes one and encodes its values. Only their form is checked here: the
// server checks operations, fields and bounds.
package framekeep

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MaxSide is the longest side that the server's operations take, in pixels.
const MaxSide = 16384

const maxNumber = 1_000_000

// DefaultWidths are the widths of a srcset, in pixels, where SrcsetOptions has none. Each has about 30 % more
// bytes than the one before: bytes grow with pixels to the power of 0.8.
var DefaultWidths = []int{
	320, 380, 450, 530, 620, 730, 860, 1020, 1200, 1420, 1680, 1980, 2340, 2760, 3250, 3840,
}

var formats = []string{"avif", "gif", "heif", "jpeg", "jxl", "png", "webp"}

// The steps after which a picture has the size that it had before.
var sameSizeSteps = strings.Fields(`
	attachment auto_contrast blur blur_detections contrast convert debug denoise encode expires
	fallback filename flip flop gamma gradient grayscale invert_colors keep modulate opacity pixelate
	pixelate_detections quality remove_background remove_transparency sharpen shift_colors strip tag
	text threshold tint v watermark`)

var (
	basePattern    = regexp.MustCompile(`^(?i:https?)://[^/]`)
	keyPattern     = regexp.MustCompile(`^(?:[0-9A-Fa-f]{2})+$`)
	namePattern    = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	stepPattern    = regexp.MustCompile(`^([a-z][a-z0-9_]*)(?::(?:[A-Za-z0-9._~!$&'()*+,;=@:-]|%[0-9A-Fa-f]{2})*)?$`)
	urlPattern     = regexp.MustCompile(`(?s)^((?i:https?))://([^/?]+)(.*)$`)
	aliasPattern   = regexp.MustCompile(`(?s)^([a-z][a-z0-9_-]{0,31}):(.+)$`)
	controlPattern = regexp.MustCompile(`[\x00-\x1f\x7f]`)
	// A percent sign with two digits is an escape and stays.
	unsafePattern = regexp.MustCompile(`%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~:/?@!$&'()*+,;=-]`)
	// What clients, proxies, CDNs or the commas of a srcset would change in a URL that is written out.
	fragilePattern = regexp.MustCompile(`(?i)//|/(?:\.|%2e){1,2}(?:[/?]|$)|/https?:/|^/|^$|[?,]$`)
	reserved       = []string{"b64", "data", "http", "https", "upload"}
	colorPattern   = regexp.MustCompile(`^#(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$`)
	colorField     = regexp.MustCompile(`^(?:.*_)?(?:color|background)$`)
	// Their values may be any text, so one that begins with # is no color.
	freeText = []string{"filename", "tag", "text", "v"}
)

// Signer builds links that are signed with a key of the server. It is safe for concurrent use.
type Signer struct {
	base string
	key  []byte
}

// NewSigner makes a signer. The base is the server's URL, with path prefix and mount point if it has
// them; the key has 16 to 128 bytes in hexadecimal.
func NewSigner(base, key string) (*Signer, error) {
	signer, err := NewUnsigned(base)
	if err != nil {
		return nil, err
	}
	if !keyPattern.MatchString(key) || len(key) < 32 || len(key) > 256 {
		return nil, errors.New("key must be 16 to 128 bytes in hexadecimal")
	}
	signer.key, err = hex.DecodeString(key)
	return signer, err
}

// NewUnsigned makes a signer whose links are unsigned; servers take them only with
// FRAMEKEEP_LINKS_ALLOW_UNSIGNED.
func NewUnsigned(base string) (*Signer, error) {
	if !basePattern.MatchString(base) {
		return nil, errors.New("base must be an http:// or https:// URL")
	}
	return &Signer{base: strings.TrimRight(base, "/")}, nil
}

// String is the server's URL, without the key.
func (s *Signer) String() string { return s.base }

// URL builds the link of a source: an http(s) URL, or ALIAS:path.
func (s *Signer) URL(source string, steps ...string) (string, error) {
	for _, step := range steps {
		if _, err := stepName(step); err != nil {
			return "", err
		}
	}
	encoded, err := encodeSource(source)
	if err != nil {
		return "", err
	}
	path := "/" + strings.Join(append(slices.Clone(steps), encoded), "/")
	return s.base + "/" + s.sign(path) + path, nil
}

// Candidate is one image of a srcset, with its true size in pixels.
type Candidate struct {
	URL           string
	Width, Height int
}

// SrcsetOptions say which images a srcset has.
type SrcsetOptions struct {
	// The size of the original as it is shown, as info links tell. Required.
	OriginalWidth, OriginalHeight int
	// In pixels; DefaultWidths if there are none.
	Widths []int
	// The aspect ratio to crop to, such as 16 and 9; without one nothing is cropped.
	RatioWidth, RatioHeight int
	// Whether a crop keeps the center instead of the subject.
	CropCenter bool
	// The box in pixels; zero is MaxSide.
	MaxWidth, MaxHeight int
}

// Candidates builds one link for each width that the original and the box allow, smallest first. Each
// link resizes first; the steps come after that and may not change the size.
func (s *Signer) Candidates(source string, options SrcsetOptions, steps ...string) ([]Candidate, error) {
	for _, step := range steps {
		name, err := stepName(step)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(sameSizeSteps, name) {
			return nil, fmt.Errorf("srcset: %s may change the size; use SrcsetOptions instead", name)
		}
	}
	across, down := options.RatioWidth, options.RatioHeight
	isCropped := across != 0 || down != 0
	if !isCropped {
		across, down = options.OriginalWidth, options.OriginalHeight
	}
	widths, err := trueWidths(options, across, down)
	if err != nil {
		return nil, err
	}
	operation := "smart_crop"
	if options.CropCenter {
		operation = "resize"
	}
	candidates := make([]Candidate, 0, len(widths))
	for _, width := range widths {
		height := max(1, (2*width*down+across)/(2*across))
		resize := fmt.Sprintf("resize:%d", width)
		if isCropped {
			resize = fmt.Sprintf("%s:%d:%d", operation, width, height)
		}
		url, err := s.URL(source, append([]string{resize}, steps...)...)
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, Candidate{url, width, height})
	}
	return candidates, nil
}

// Srcset builds a srcset attribute of Candidates. Escape it for HTML, as html/template does.
func (s *Signer) Srcset(source string, options SrcsetOptions, steps ...string) (string, error) {
	candidates, err := s.Candidates(source, options, steps...)
	return joinCandidates(candidates), err
}

// Art is art direction: the aspect ratio that a picture has where a media condition holds.
type Art struct {
	// Such as "(max-width: 40em)".
	Media string
	// Such as 4 and 5.
	RatioWidth, RatioHeight int
	// Those of the picture if they are empty.
	Sizes string
}

// PictureOptions say which sources a picture has.
type PictureOptions struct {
	SrcsetOptions
	// The last one is that of the <img>; AVIF, WebP and JPEG if there are none.
	Formats []string
	// "100vw" if they are empty.
	Sizes string
	// The first condition that holds counts.
	Art []Art
}

// Source has the attributes of one <source> in a <picture>; Media is empty where it has none. Width and
// height are those of the largest image.
type Source struct {
	Media, Type, Srcset, Sizes string
	Width, Height              int
}

// Picture has the attributes of a <picture>: its sources, and its <img>.
type Picture struct {
	Sources            []Source
	Src, Srcset, Sizes string
	Width, Height      int
}

// Picture builds the attributes of a <picture>. Escape them for HTML, as html/template does.
func (s *Signer) Picture(source string, options PictureOptions, steps ...string) (Picture, error) {
	for _, step := range steps {
		if name, _ := stepName(step); name == "convert" {
			return Picture{}, errors.New("picture: name the formats in Formats, not in a convert step")
		}
	}
	types := options.Formats
	if len(types) == 0 {
		types = []string{"avif", "webp", "jpeg"}
	}
	for _, format := range types {
		if !slices.Contains(formats, format) {
			return Picture{}, fmt.Errorf("picture: formats must be some of %s", strings.Join(formats, ", "))
		}
	}
	sizes := options.Sizes
	if sizes == "" {
		sizes = "100vw"
	}
	for _, one := range options.Art {
		if strings.TrimSpace(one.Media) == "" {
			return Picture{}, errors.New("picture: media must be a media condition, such as (max-width: 40em)")
		}
	}
	shapes := append(slices.Clone(options.Art), Art{
		RatioWidth: options.RatioWidth, RatioHeight: options.RatioHeight,
	})
	sources := []Source{}
	var largest Candidate
	for _, one := range shapes {
		box := options.SrcsetOptions
		box.RatioWidth, box.RatioHeight = one.RatioWidth, one.RatioHeight
		if one.Sizes == "" {
			one.Sizes = sizes
		}
		for _, format := range types {
			all := append(slices.Clone(steps), "convert:"+format)
			candidates, err := s.Candidates(source, box, all...)
			if err != nil {
				return Picture{}, err
			}
			largest = candidates[len(candidates)-1]
			sources = append(sources, Source{
				one.Media, "image/" + format, joinCandidates(candidates), one.Sizes,
				largest.Width, largest.Height,
			})
		}
	}
	last := len(sources) - 1
	img := sources[last]
	return Picture{sources[:last], largest.URL, img.Srcset, img.Sizes, img.Width, img.Height}, nil
}

func joinCandidates(candidates []Candidate) string {
	texts := make([]string, 0, len(candidates))
	for _, candidate := range candidates {
		texts = append(texts, fmt.Sprintf("%s %dw", candidate.URL, candidate.Width))
	}
	return strings.Join(texts, ", ")
}

// Field is a value by the name of its field, for Step.
type Field struct {
	Name  string
	Value any
}

// Step writes a step, with its values percent-encoded: Step("text", "50 % off", Field{"size", 40}).
//
// A value is a string, a number, a bool, nil to leave it out, or a []any of strings and numbers.
// Colors are written without #: "#f80" as FF8800.
func Step(name string, values ...any) (string, error) {
	if !namePattern.MatchString(name) {
		return "", fmt.Errorf("step: %q is not a name of a step", name)
	}
	parts := []string{name}
	for _, value := range values {
		prefix, isColor := "", !slices.Contains(freeText, name)
		if field, ok := value.(Field); ok {
			prefix, value, isColor = field.Name+"=", field.Value, colorField.MatchString(field.Name)
		}
		if text, ok := value.(string); ok && isColor {
			value = bareColor(text)
		}
		text, err := formatValue(value)
		if err != nil {
			return "", err
		}
		parts = append(parts, prefix+text)
	}
	return strings.Join(parts, ":"), nil
}

func (s *Signer) sign(path string) string {
	if s.key == nil {
		return "_"
	}
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(path))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func bareColor(text string) string {
	if !colorPattern.MatchString(text) {
		return text
	}
	digits := strings.ToUpper(text[1:])
	if len(digits) == 6 {
		return digits
	}
	r, g, b := digits[:1], digits[1:2], digits[2:]
	return r + r + g + g + b + b
}

func formatValue(value any) (string, error) {
	switch value := value.(type) {
	case nil:
		return "", nil
	case string:
		return percentEncode(value), nil
	case bool, int, int64:
		return fmt.Sprint(value), nil
	case float64:
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return "", fmt.Errorf("step: the number %v cannot be written in a link", value)
		}
		return strconv.FormatFloat(value, 'f', -1, 64), nil
	case []any:
		texts := make([]string, 0, len(value))
		for _, one := range value {
			text, err := formatValue(one)
			if err != nil {
				return "", err
			}
			texts = append(texts, text)
		}
		return strings.Join(texts, ","), nil
	}
	return "", fmt.Errorf("step: a value must be a string, an int, a float64 or a bool, not %T", value)
}

func stepName(step string) (string, error) {
	match := stepPattern.FindStringSubmatch(step)
	if match == nil || slices.Contains(reserved, match[1]) {
		return "", fmt.Errorf("step %.60q is not written as in a link, such as resize:800:600; use Step", step)
	}
	return match[1], nil
}

// The widths, and the largest width that original and box allow in that shape.
func trueWidths(options SrcsetOptions, across, down int) ([]int, error) {
	widths := options.Widths
	if len(widths) == 0 {
		widths = DefaultWidths
	}
	maxWidth, maxHeight := options.MaxWidth, options.MaxHeight
	if maxWidth == 0 {
		maxWidth = MaxSide
	}
	if maxHeight == 0 {
		maxHeight = MaxSide
	}
	numbers := append([]int{
		options.OriginalWidth, options.OriginalHeight, across, down, maxWidth, maxHeight,
	}, widths...)
	if slices.Min(numbers) < 1 || slices.Max(numbers) > maxNumber {
		return nil, fmt.Errorf("srcset: sizes, widths and ratio must be from 1 to %d", maxNumber)
	}
	boxWidth := min(options.OriginalWidth, maxWidth, MaxSide)
	boxHeight := min(options.OriginalHeight, maxHeight, MaxSide)
	largest := min(boxWidth, boxHeight*across/down)
	if largest == 0 {
		return nil, errors.New("srcset: not one pixel of that shape fits into the original and the box")
	}
	// Less than half a step below the largest is too near to be worth an image.
	margin := 11
	if len(options.Widths) == 0 {
		margin = 12
	}
	isNear := func(width int) bool { return width*margin >= largest*11 }
	smaller := slices.DeleteFunc(slices.Clone(widths), isNear)
	slices.Sort(smaller)
	return append(slices.Compact(smaller), largest), nil
}

func encodeSource(source string) (string, error) {
	if controlPattern.MatchString(source) {
		return "", errors.New("source contains a control character")
	}
	if match := urlPattern.FindStringSubmatch(source); match != nil {
		return encodeURL(strings.ToLower(match[1]), match[2], match[3])
	}
	match := aliasPattern.FindStringSubmatch(source)
	if match == nil || slices.Contains(reserved, match[1]) {
		return "", errors.New("source must be an http:// or https:// URL, or ALIAS:path")
	}
	if fragilePattern.MatchString(match[2]) {
		return "b64:" + base64.RawURLEncoding.EncodeToString([]byte(source)), nil
	}
	return match[1] + ":" + strings.ReplaceAll(percentEncode(match[2]), "%2F", "/"), nil
}

func encodeURL(scheme, host, target string) (string, error) {
	if strings.Contains(host+target, "#") {
		return "", errors.New("source has a fragment; remove it, or write # as %23")
	}
	if strings.Contains(host+target, `\`) || strings.ContainsAny(host, " @") {
		return "", errors.New("source has a backslash, a user name or a space in its host")
	}
	target = escapeUnsafe(target)
	text := scheme + "://" + host + target
	if escapeUnsafe(host) == host && !fragilePattern.MatchString(host+target) {
		return text, nil
	}
	return "b64:" + base64.RawURLEncoding.EncodeToString([]byte(text)), nil
}

func escapeUnsafe(text string) string {
	return unsafePattern.ReplaceAllStringFunc(text, func(found string) string {
		if len(found) == 3 && found[0] == '%' {
			return found
		}
		return percentEncode(found)
	})
}

func percentEncode(text string) string {
	var encoded strings.Builder
	for _, character := range []byte(text) {
		isLetter := character|0x20 >= 'a' && character|0x20 <= 'z'
		isDigit := character >= '0' && character <= '9'
		if isLetter || isDigit || strings.IndexByte("-._~", character) >= 0 {
			encoded.WriteByte(character)
		} else {
			fmt.Fprintf(&encoded, "%%%02X", character)
		}
	}
	return encoded.String()
}
