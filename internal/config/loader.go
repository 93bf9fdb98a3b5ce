package config

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/fenfa/fenfa/internal/spell"
)

// FileVariable names the configuration file in the environment.
const FileVariable = envPrefix + "CONFIG"

// Setting is one setting as it was loaded.
type Setting struct {
	Key    string // in the file, as "grpc.listen"
	Value  string
	Source string // "default", or where the value was given
	Doc    string
	Flag   string // without dashes in front
	Env    string
}

// Loaded is a configuration that was read and is valid.
type Loaded struct {
	Config   Config
	Settings []Setting // all of them, in the order of the sample
	Warnings []string  // what looks like a slip and is no error
}

// Loader gathers what flags say, then loads the rest.
type Loader struct {
	given map[string]string // by key
}

// NewLoader returns a loader that knows no flags yet.
func NewLoader() *Loader { return &Loader{given: map[string]string{}} }

// Flag is a setting as a flag of the command line. It has the methods that the
// flag packages ask of a value.
type Flag struct {
	Name    string
	Usage   string
	Default string
	IsBool  bool // may stand without a value, for true
	hides   bool // it is a URL
	key     string
	loader  *Loader
}

// Flags returns one flag for every setting.
func (l *Loader) Flags() []*Flag {
	c := Default()
	var flags []*Flag
	for _, f := range fields(&c) {
		flags = append(flags, &Flag{Name: f.flag(), Usage: f.doc, Default: f.text(), IsBool: f.isBool(), hides: f.isURL(), key: f.key, loader: l})
	}
	return flags
}

// Set remembers the value, if it can be one.
func (f *Flag) Set(value string) error {
	c := Default()
	for _, known := range fields(&c) {
		if known.key == f.key {
			if err := known.set(value); err != nil {
				return err
			}
		}
	}
	f.loader.given[f.key] = value
	return nil
}

// String returns the value as it is so far.
func (f *Flag) String() string {
	if f.loader == nil {
		return ""
	}
	if v, ok := f.loader.given[f.key]; ok {
		if f.hides {
			return URL(v).String()
		}
		return v
	}
	return f.Default
}

// Type names the kind of value for the help text.
func (f *Flag) Type() string {
	if f.IsBool {
		return "bool"
	}
	return "string"
}

// Load reads the file, or where file is empty the one that FENFA_CONFIG names,
// then environ (entries like "FENFA_NODE=a"), then the flags, and validates the
// result.
func (l *Loader) Load(file string, environ []string) (*Loaded, error) {
	env := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, envPrefix) {
			env[name] = value
		}
	}
	if file == "" {
		file = env[FileVariable]
	}
	loaded := &Loaded{Config: Default()}
	list := fields(&loaded.Config)
	sources := make(map[string]string, len(list))
	if err := loadFile(file, list, sources); err != nil {
		return nil, err
	}
	for i := range list {
		f := &list[i]
		source, err := l.override(f, env)
		if err != nil {
			return nil, err
		}
		source = cmp.Or(source, sources[f.key], "default")
		loaded.Settings = append(loaded.Settings, Setting{Key: f.key, Value: f.text(), Source: source, Doc: f.doc, Flag: f.flag(), Env: f.env()})
	}
	loaded.Warnings = slips(env, list)
	if key, err := loaded.Config.validate(); err != nil {
		return nil, fmt.Errorf("%s (%s): %w", key, loaded.source(key), err)
	}
	return loaded, nil
}

// override applies what the environment and then the flags say of a setting, and
// returns the last that spoke, or "".
func (l *Loader) override(f *field, env map[string]string) (source string, err error) {
	for _, from := range []struct {
		source string
		values map[string]string
		name   string
	}{
		{"environment " + f.env(), env, f.env()},
		{"flag --" + f.flag(), l.given, f.key},
	} {
		value, ok := from.values[from.name]
		if !ok {
			continue
		}
		if err := f.set(value); err != nil {
			return "", fmt.Errorf("%s: %w", from.source, err)
		}
		source = from.source
	}
	return source, nil
}

func loadFile(name string, list []field, sources map[string]string) error {
	if name == "" {
		return nil
	}
	content, err := os.ReadFile(name) //nolint:gosec // The file is whichever the operator names.
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	known := make([]string, len(list))
	for i := range list {
		known[i] = list[i].key
	}
	found, err := parseFile(name, content, known)
	if err != nil {
		return err
	}
	for _, a := range found {
		for i := range list {
			if list[i].key != a.key {
				continue
			}
			source := fmt.Sprintf("%s:%d", name, a.line)
			if err := list[i].set(a.value); err != nil {
				return fmt.Errorf("%s: %s: %w", source, a.key, err)
			}
			sources[a.key] = "file " + source
		}
	}
	return nil
}

// slips names variables that are nearly those of a setting. Others with the
// prefix may belong to clients.
func slips(env map[string]string, list []field) []string {
	known := map[string]bool{FileVariable: true}
	var names []string
	for i := range list {
		known[list[i].env()] = true
		names = append(names, strings.TrimPrefix(list[i].env(), envPrefix))
	}
	var warnings []string
	for name := range env {
		if known[name] {
			continue
		}
		if near, ok := spell.Nearest(strings.TrimPrefix(name, envPrefix), names); ok {
			warnings = append(warnings, fmt.Sprintf("environment variable %s sets nothing: did you mean %s%s?", name, envPrefix, near))
		}
	}
	return warnings
}

func (l *Loaded) source(key string) string {
	for _, s := range l.Settings {
		if s.Key == key {
			return s.Source
		}
	}
	return "default"
}
