package framekeep

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"testing"
)

type vector struct {
	Call, Source, URL, Name, Step, Srcset, Crop string
	Steps                                       []string
	Values                                      []any
	Fields                                      map[string]any
	Original, Widths, Ratio                     []int
	Candidates                                  []Candidate
	Formats                                     []string
	Sizes                                       string
	Art                                         [][]any
	Picture                                     Picture
	Rule                                        string
	Choices                                     []struct {
		Values []any
		URL    string
	}
	WidthGrid   string `json:"width_grid"`
	UnsignedURL string `json:"unsigned_url"`
	MaxWidth    *int   `json:"max_width"`
	MaxHeight   *int   `json:"max_height"`
}

type vectors struct {
	Base, Key               string
	BadKeys                 []string `json:"bad_keys"`
	SameSizeSteps           []string `json:"same_size_steps"`
	Links, Srcsets, Refused []vector
	Steps, Pictures, Rules  []vector
	DefaultWidths           []int `json:"default_widths"`
}

func load(t *testing.T) (vectors, *Signer) {
	t.Helper()
	text, err := os.ReadFile("../vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var read vectors
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	signer, err := NewSigner(read.Base, read.Key)
	if err != nil {
		t.Fatal(err)
	}
	return read, signer
}

func (v vector) options() SrcsetOptions {
	options := SrcsetOptions{
		OriginalWidth: v.Original[0], OriginalHeight: v.Original[1],
		Widths: v.Widths, CropCenter: v.Crop == "center",
	}
	if v.Ratio != nil {
		options.RatioWidth, options.RatioHeight = v.Ratio[0], v.Ratio[1]
	}
	if v.MaxWidth != nil {
		options.MaxWidth = *v.MaxWidth
	}
	if v.MaxHeight != nil {
		options.MaxHeight = *v.MaxHeight
	}
	return options
}

func (v vector) pictureOptions() PictureOptions {
	options := PictureOptions{SrcsetOptions: v.options(), Formats: v.Formats, Sizes: v.Sizes}
	for _, one := range v.Art {
		ratio := one[1].([]any)
		art := Art{Media: one[0].(string), RatioWidth: int(ratio[0].(float64)), RatioHeight: int(ratio[1].(float64))}
		if len(one) == 3 {
			art.Sizes = one[2].(string)
		}
		options.Art = append(options.Art, art)
	}
	return options
}

func (v vector) step() (string, error) {
	values := slices.Clone(v.Values)
	names := make([]string, 0, len(v.Fields))
	for name := range v.Fields {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Reverse(names) // as they stand in the vectors
	for _, name := range names {
		values = append(values, Field{name, v.Fields[name]})
	}
	return Step(v.Name, values...)
}

func TestLinksAreThoseOfTheServer(t *testing.T) {
	read, signer := load(t)
	unsigned, err := NewUnsigned(read.Base + "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range read.Links {
		if url, err := signer.URL(link.Source, link.Steps...); url != link.URL {
			t.Errorf("got %s (%v), want %s", url, err, link.URL)
		}
		if url, _ := unsigned.URL(link.Source, link.Steps...); url != link.UnsignedURL {
			t.Errorf("got %s, want %s", url, link.UnsignedURL)
		}
	}
}

func TestValuesAreEncoded(t *testing.T) {
	read, _ := load(t)
	for _, row := range read.Steps {
		if step, err := row.step(); step != row.Step {
			t.Errorf("got %s (%v), want %s", step, err, row.Step)
		}
	}
}

func TestCandidatesAreNeverLargerThanTheOriginalOrTheBox(t *testing.T) {
	read, signer := load(t)
	for _, row := range read.Srcsets {
		candidates, err := signer.Candidates(row.Source, row.options(), row.Steps...)
		if !reflect.DeepEqual(candidates, row.Candidates) {
			t.Errorf("got %v (%v), want %v", candidates, err, row.Candidates)
		}
		if srcset, _ := signer.Srcset(row.Source, row.options(), row.Steps...); srcset != row.Srcset {
			t.Errorf("got %s, want %s", srcset, row.Srcset)
		}
		if grid, _ := WidthGrid(row.options()); grid != row.WidthGrid {
			t.Errorf("got %s, want %s", grid, row.WidthGrid)
		}
	}
	if !slices.Equal(DefaultWidths, read.DefaultWidths) {
		t.Errorf("got %v, want %v", DefaultWidths, read.DefaultWidths)
	}
}

func TestPicturesHaveASourceForEachFormatAndShape(t *testing.T) {
	read, signer := load(t)
	for _, row := range read.Pictures {
		picture, err := signer.Picture(row.Source, row.pictureOptions(), row.Steps...)
		if !reflect.DeepEqual(picture, row.Picture) {
			t.Errorf("got %v (%v), want %v", picture, err, row.Picture)
		}
	}
}

func TestValuesOfARuleAreChosenWithoutAKey(t *testing.T) {
	read, signer := load(t)
	for _, row := range read.Rules {
		if rule, err := signer.Rule(row.Source, row.Steps...); rule != row.Rule {
			t.Errorf("got %s (%v), want %s", rule, err, row.Rule)
		}
		for _, choice := range row.Choices {
			url, err := Choose(row.Rule, choice.Values...)
			if url != choice.URL {
				t.Errorf("got %s (%v), want %s", url, err, choice.URL)
			}
			if again, err := Choose(url, choice.Values...); again != url {
				t.Errorf("got %s (%v), want %s", again, err, url)
			}
		}
	}
}

func TestWhatNoServerTakesIsRefused(t *testing.T) {
	read, signer := load(t)
	calls := map[string]func(vector) (string, error){
		"url":    func(v vector) (string, error) { return signer.URL(v.Source, v.Steps...) },
		"step":   func(v vector) (string, error) { return v.step() },
		"srcset": func(v vector) (string, error) { return signer.Srcset(v.Source, v.options(), v.Steps...) },
		"rule":   func(v vector) (string, error) { return signer.Rule(v.Source, v.Steps...) },
		"choose": func(v vector) (string, error) {
			rule, err := signer.Rule("media:a.jpg", v.Steps...)
			if err != nil {
				t.Fatal(err)
			}
			return Choose(rule, v.Values...)
		},
		"picture": func(v vector) (string, error) {
			picture, err := signer.Picture(v.Source, v.pictureOptions(), v.Steps...)
			return picture.Src, err
		},
	}
	for _, row := range read.Refused {
		if row.MaxWidth != nil && *row.MaxWidth == 0 {
			continue // zero is the default in Go
		}
		if got, err := calls[row.Call](row); err == nil {
			t.Errorf("%+v gave %s", row, got)
		}
	}
	for _, key := range read.BadKeys {
		if _, err := NewSigner(read.Base, key); err == nil {
			t.Errorf("the key %q was taken", key)
		}
	}
}

func TestTheStepsThatKeepTheSizeAreThoseOfTheServer(t *testing.T) {
	read, _ := load(t)
	if !slices.Equal(sameSizeSteps, read.SameSizeSteps) {
		t.Errorf("got %v, want %v", sameSizeSteps, read.SameSizeSteps)
	}
}
