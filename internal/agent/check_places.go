package agent

import (
	"path/filepath"
	"slices"

	"bouncefeed/internal/config"
)

// checkPlaces tells of inputs that read the same: each line would be read twice, and neither sees what the other did.
func checkPlaces(cfg *config.Config, planned []plannedInput) error {
	var errs []error
	first := map[string]string{}
	for _, in := range planned {
		i := slices.IndexFunc(cfg.Inputs, func(n config.Named[config.Section]) bool { return n.Name == in.name })
		section := cfg.Inputs[i].Value
		place := placeOf(in.built.Input)
		if place == "" || in.kind == "webhook" || in.kind == "pipe" {
			continue
		}
		if filepath.IsAbs(place) {
			place = filepath.Clean(place)
		}
		key, what := place, "path"
		if in.kind == "journald" { // two may share a journal if they look at different entries
			what = "match"
			for _, m := range section.Texts("match") {
				key += "\x00" + m
			}
		}
		if other, twice := first[key]; twice {
			errs = append(errs, section.Errorf(what, "inputs.%s reads %s already: remove one of the two", other, place))
		}
		first[key] = in.name
	}
	return config.Join("", errs...)
}

// checkTarget tells of an output that would write into what is read.
func checkTarget(section config.Section, place string, planned []plannedInput) error {
	for _, in := range planned {
		if from := placeOf(in.built.Input); section.Type == "file" && filepath.IsAbs(from) && filepath.Clean(from) == filepath.Clean(place) {
			return section.Errorf("path", "inputs.%s reads this file: give one of its own, such as /var/lib/bouncefeed/bounces.jsonl", in.name)
		}
	}
	return nil
}
