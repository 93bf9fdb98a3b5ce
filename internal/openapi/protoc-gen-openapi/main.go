// Command protoc-gen-openapi is a plugin of protoc that writes openapi.json. Its
// options name the files of routes: routes=FILE for those of the gateway,
// streams=FILE for those whose answers are lines of JSON.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/fenfa/fenfa/internal/openapi/compile"
)

func main() {
	var flags flag.FlagSet
	unary := flags.String("routes", "", "file of the gateway's routes")
	streams := flags.String("streams", "", "file of the routes that answer in lines")
	protogen.Options{ParamFunc: flags.Set}.Run(func(p *protogen.Plugin) error {
		p.SupportedFeatures = uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL)
		routes, err := read(*unary, *streams)
		if err != nil {
			return err
		}
		var files []protoreflect.FileDescriptor
		for _, f := range p.Files {
			if f.Generate {
				files = append(files, f.Desc)
			}
		}
		doc, err := compile.Compile(files, routes)
		if err != nil {
			return err
		}
		var out bytes.Buffer
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		if err := e.Encode(doc); err != nil {
			return fmt.Errorf("encode document: %w", err)
		}
		_, err = p.NewGeneratedFile("openapi.json", "").Write(out.Bytes())
		return err
	})
}

func read(unary, streams string) ([]compile.Route, error) {
	var all []compile.Route
	for _, f := range []struct {
		path  string
		lines bool
	}{{unary, false}, {streams, true}} {
		file, err := os.ReadFile(f.path)
		if err != nil {
			return nil, fmt.Errorf("read routes: %w", err)
		}
		routes, err := compile.ReadRoutes(file, f.lines)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.path, err)
		}
		all = append(all, routes...)
	}
	return all, nil
}
