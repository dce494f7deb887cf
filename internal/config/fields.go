package config

import (
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"sort"
	"strings"

	"go.yaml.in/yaml/v4"
)

// fieldsOf maps the YAML keys of struct v to its fields; embedded structs count as their own keys.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			for k, inner := range fieldsOf(v.Field(i)) {
				fields[k] = inner
			}
		} else if name := f.Tag.Get("yaml"); name != "" {
			fields[name] = v.Field(i)
		}
	}
	return fields
}

var secretType = reflect.TypeFor[Secret]()

// Keys lists every key that a module's configuration struct takes, nested ones as "tls.cert", secrets in their three
// spellings. config.example.yaml must name them all; a test holds it to that.
func Keys(c any) []string {
	var all []string
	collectKeys("", reflect.Indirect(reflect.ValueOf(c)), &all)
	sort.Strings(all)
	return all
}

func collectKeys(path string, v reflect.Value, all *[]string) {
	for name, f := range fieldsOf(v) {
		if _, isText := f.Addr().Interface().(interface{ UnmarshalText([]byte) error }); f.Type() == secretType {
			*all = append(*all, join(path, name+"_file"))
		} else if _, isSection := f.Interface().(Section); f.Kind() == reflect.Struct && !isText && !isSection {
			collectKeys(join(path, name), f, all)
		} else {
			*all = append(*all, join(path, name))
		}
	}
}

func keyNames(fields map[string]reflect.Value) []string {
	var names []string
	for name, f := range fields {
		if f.Type() == secretType {
			names = append(names, name+"_file", name+"_env", name+"_credential")
		} else {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// secretKey finds "password_file" or a forbidden "password" behind a field of type Secret called "password".
func secretKey(fields map[string]reflect.Value, key string) (base, how string, ok bool) {
	for _, how := range []string{"file", "env", "credential"} {
		if base, found := strings.CutSuffix(key, "_"+how); found {
			if f, isField := fields[base]; isField && f.Type() == secretType {
				return base, how, true
			}
		}
	}
	return "", "", false
}

func secretOf(fields map[string]reflect.Value, base string) *Secret {
	return fields[base].Addr().Interface().(*Secret)
}

func (d *decoder) secret(key, value *yaml.Node, path, how string, s *Secret) {
	d.scalar(value, path, func(v string) error {
		*s = Secret{how: how, where: v}
		if how == "file" && !filepath.IsAbs(v) {
			return fmt.Errorf("give the absolute path of the file that holds it, such as /etc/bouncefeed/listmonk.token")
		}
		return nil
	})
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func orWhole(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

func kindWord(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	}
	return "one value"
}

func readAllCapped(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return data, err
}
