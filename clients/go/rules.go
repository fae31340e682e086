package framekeep

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const maxGrid = 10_000

const gridPattern = `([A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*)`

var (
	openPattern       = regexp.MustCompile(`^((?:[a-z][a-z0-9_]*=)?)\{` + gridPattern + `\}$`)
	openInLinkPattern = regexp.MustCompile(`(?i)^(?:[a-z][a-z0-9_]*=)?(?:%7B|\{)` + gridPattern + `(?:%7D|\})$`)
	bracePattern      = regexp.MustCompile(`(?i)%7B|%7D|[{}]`)
	rangePattern      = regexp.MustCompile(`^([0-9]{1,9})\.\.([0-9]{1,9})(?:\.\.([0-9]{1,9}))?$`)
	numberPattern     = regexp.MustCompile(`^[0-9]+(?:\.[0-9]+)?$`)
	signaturePattern  = regexp.MustCompile(`^(?:_|[A-Za-z0-9_-]{22}|[A-Za-z0-9_-]{43})$`)
)

// Rule builds a rule link: some values are left open, and Choose fills them in, without a key.
//
//	links.Rule("media:users/42.jpg", "resize:{320,640,1280}", "convert:{avif,webp,jpeg}")
func (s *Signer) Rule(source string, steps ...string) (string, error) {
	isOpen := false
	written := make([]string, 0, len(steps)+1)
	for _, step := range steps {
		values := strings.Split(step, ":")
		for at := 1; at < len(values); at++ {
			if match := openPattern.FindStringSubmatch(values[at]); match != nil {
				values[at] = match[1] + "%7B" + match[2] + "%7D"
				isOpen = true
			}
		}
		step = strings.Join(values, ":")
		if _, err := stepName(step); err != nil {
			return "", err
		}
		written = append(written, step)
	}
	if !isOpen {
		return "", errors.New(
			"rule: no field is left open; write the values that it may have, such as resize:{320,640,1280}")
	}
	encoded, err := encodeSource(source)
	if err != nil {
		return "", err
	}
	if bracePattern.MatchString(encoded) && !strings.HasPrefix(encoded, "b64:") {
		text := source
		if strings.HasPrefix(encoded, "http://") || strings.HasPrefix(encoded, "https://") {
			text = encoded
		}
		encoded = "b64:" + base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	path := "/" + strings.Join(append(written, encoded), "/")
	return s.base + "/" + s.sign(path) + path, nil
}

// Choose fills in the values of a rule link's open fields, in their order. This needs no key. Values that
// were chosen before are replaced.
//
// A value is a string, an int or a float64. A number that is not among the values of its field becomes the
// next larger one, or the largest.
func Choose(link string, values ...any) (string, error) {
	segments := strings.Split(link, "/")
	fields := make([][][]string, len(segments))
	first := 0
	for at, segment := range segments {
		for _, value := range strings.Split(segment, ":")[1:] {
			grid, err := expandGrid(value)
			if err != nil {
				return "", err
			}
			if grid != nil {
				fields[at] = append(fields[at], grid)
			}
		}
		if first == 0 && fields[at] != nil {
			first = at
		}
	}
	// The signature is the nearest segment before the first open field that looks like one.
	signature := first
	for signature > 0 && !signaturePattern.MatchString(segments[signature]) {
		signature--
	}
	if signature == 0 {
		return "", errors.New("choose: this is not a rule link")
	}
	var grids [][]string
	for _, found := range fields[signature:] {
		grids = append(grids, found...)
	}
	if len(grids) != len(values) {
		return "", fmt.Errorf(
			"choose: the link has %d open fields, and %d values are given", len(grids), len(values))
	}
	chosen := make([]string, 0, len(grids)+1)
	chosen = append(chosen, "choose")
	for at, grid := range grids {
		value, err := nearest(grid, values[at])
		if err != nil {
			return "", err
		}
		chosen = append(chosen, value)
	}
	after := segments[signature+1:]
	if strings.HasPrefix(after[0], "choose:") {
		after = after[1:]
	}
	made := append(slices.Clone(segments[:signature+1]), strings.Join(chosen, ":"))
	return strings.Join(append(made, after...), "/"), nil
}

// WidthGrid writes the widths of a srcset as the open field of a rule: {320,640,1000}.
func WidthGrid(options SrcsetOptions) (string, error) {
	across, down := options.RatioWidth, options.RatioHeight
	if across == 0 && down == 0 {
		across, down = options.OriginalWidth, options.OriginalHeight
	}
	widths, err := trueWidths(options, across, down)
	texts := make([]string, 0, len(widths))
	for _, width := range widths {
		texts = append(texts, strconv.Itoa(width))
	}
	return "{" + strings.Join(texts, ",") + "}", err
}

// The values of an open field; nil if it is not one.
func expandGrid(value string) ([]string, error) {
	match := openInLinkPattern.FindStringSubmatch(value)
	if match == nil {
		return nil, nil
	}
	bounds := rangePattern.FindStringSubmatch(match[1])
	if bounds == nil {
		return strings.Split(match[1], ","), nil
	}
	start, _ := strconv.Atoi(bounds[1])
	end, _ := strconv.Atoi(bounds[2])
	step := 1
	if bounds[3] != "" {
		step, _ = strconv.Atoi(bounds[3])
	}
	if step == 0 || end < start || (end-start)/step >= maxGrid {
		return nil, fmt.Errorf("choose: %s is not a range of 1 to %d values", match[1], maxGrid)
	}
	var grid []string
	for number := start; number <= end; number += step {
		grid = append(grid, strconv.Itoa(number))
	}
	return grid, nil
}

func nearest(grid []string, value any) (string, error) {
	text, err := formatValue(value)
	if err != nil {
		return "", err
	}
	if slices.Contains(grid, text) {
		return text, nil
	}
	found, foundNumber, largest := "", 0.0, ""
	largestNumber := -1.0
	wanted, _ := strconv.ParseFloat(text, 64)
	for _, one := range grid {
		if !numberPattern.MatchString(one) {
			continue
		}
		number, _ := strconv.ParseFloat(one, 64)
		if number > largestNumber {
			largest, largestNumber = one, number
		}
		if number >= wanted && (found == "" || number < foundNumber) {
			found, foundNumber = one, number
		}
	}
	if largest == "" || !numberPattern.MatchString(text) {
		return "", fmt.Errorf("choose: %.40q is not one of %s", text, strings.Join(grid, ", "))
	}
	if found == "" {
		return largest, nil
	}
	return found, nil
}
