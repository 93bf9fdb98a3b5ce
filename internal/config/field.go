package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// field is one setting inside a Config: where its value is, and its names.
type field struct {
	key   string // with dots, as in "grpc.listen"
	doc   string
	value reflect.Value
}

// flag is the name on the command line, without dashes in front.
func (f *field) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(f.key) }

// env is the name in the environment.
func (f *field) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

const envPrefix = "FENFA_"

// fields lists the settings of a Config in the order of their declaration.
func fields(c *Config) []field { return appendFields(nil, "", reflect.ValueOf(c).Elem()) }

func appendFields(list []field, prefix string, v reflect.Value) []field {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		key := prefix + tag.Get("key")
		if v.Field(i).Kind() == reflect.Struct {
			list = appendFields(list, key+".", v.Field(i))
			continue
		}
		list = append(list, field{key: key, doc: tag.Get("doc"), value: v.Field(i)})
	}
	return list
}

// set reads the value from its text form.
func (f *field) set(s string) error {
	switch p := f.value.Addr().Interface().(type) {
	case *string:
		*p = s
	case *URL:
		*p = URL(s)
	case *bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		*p = b
	case *int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		*p = n
	case *time.Duration:
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a duration: want a number with a unit, like 500ms or 30s", s)
		}
		*p = d
	case *Size:
		size, err := ParseSize(s)
		if err != nil {
			return err
		}
		*p = size
	default:
		return fmt.Errorf("settings of type %T cannot be read", p)
	}
	return nil
}

// text is the value as it would be written.
func (f *field) text() string { return fmt.Sprint(f.value.Interface()) }

func (f *field) isBool() bool { return f.value.Kind() == reflect.Bool }

func (f *field) isURL() bool {
	_, ok := reflect.TypeAssert[URL](f.value)
	return ok
}
