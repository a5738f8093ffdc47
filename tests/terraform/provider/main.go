// A provider that knows azurerm's schema and nothing else.
//
// Terraform needs a provider's schema to validate a configuration and to mock the provider in `terraform test`. This
// program answers with the part of azurerm's schema that terraform/ uses (schema.json), for the version in its own
// file name (terraform-provider-azurerm_v4.81.0), and refuses everything that would take a cloud.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

//go:embed schema.json
var text []byte

// file is schema.json. A field is either a string, an attribute: "required", "optional" and "computed" as they apply
// and then its type; or an object, a nested block.
type file struct {
	Versions map[string]struct {
		Required []string `json:"required"` // blocks ("resource.block") that this version wants at least once
	} `json:"versions"`
	Provider  fields            `json:"provider"`
	Resources map[string]fields `json:"resources"`
}

type fields map[string]json.RawMessage

type nested struct {
	Min   int64  `json:"min"`
	Max   int64  `json:"max"`
	Block fields `json:"block"`
}

var types = map[string]tftypes.Type{
	"string": tftypes.String,
	"number": tftypes.Number,
	"bool":   tftypes.Bool,
	"list":   tftypes.List{ElementType: tftypes.String},
	"set":    tftypes.Set{ElementType: tftypes.String},
	"map":    tftypes.Map{ElementType: tftypes.String},
}

func block(path string, required []string, of fields) (*tfprotov5.SchemaBlock, error) {
	made := &tfprotov5.SchemaBlock{}
	for name, raw := range of {
		var words string
		if json.Unmarshal(raw, &words) == nil {
			said := strings.Fields(words)
			kind, known := types[said[len(said)-1]]
			if !known {
				return nil, fmt.Errorf("schema.json: %s.%s: unknown type in %q", path, name, words)
			}
			made.Attributes = append(made.Attributes, &tfprotov5.SchemaAttribute{
				Name: name, Type: kind, Required: slices.Contains(said, "required"),
				Optional: slices.Contains(said, "optional"), Computed: slices.Contains(said, "computed"),
			})
			continue
		}
		var inner nested
		if err := json.Unmarshal(raw, &inner); err != nil {
			return nil, fmt.Errorf("schema.json: %s.%s: %w", path, name, err)
		}
		if slices.Contains(required, path+"."+name) {
			inner.Min = 1
		}
		content, err := block(path+"."+name, required, inner.Block)
		if err != nil {
			return nil, err
		}
		made.BlockTypes = append(made.BlockTypes, &tfprotov5.SchemaNestedBlock{
			TypeName: name, Nesting: tfprotov5.SchemaNestedBlockNestingModeList,
			MinItems: inner.Min, MaxItems: inner.Max, Block: content,
		})
	}
	return made, nil
}

func read(version string) (*tfprotov5.GetProviderSchemaResponse, error) {
	var all file
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("schema.json: %w", err)
	}
	known, ok := all.Versions[version]
	if !ok {
		return nil, fmt.Errorf("schema.json has no version %q", version)
	}
	provider, err := block("provider", known.Required, all.Provider)
	if err != nil {
		return nil, err
	}
	made := &tfprotov5.GetProviderSchemaResponse{
		Provider:        &tfprotov5.Schema{Block: provider},
		ResourceSchemas: map[string]*tfprotov5.Schema{},
	}
	for name, of := range all.Resources {
		resource, err := block(name, known.Required, of)
		if err != nil {
			return nil, err
		}
		made.ResourceSchemas[name] = &tfprotov5.Schema{Block: resource}
	}
	return made, nil
}

// server answers what `terraform validate` and a mocked `terraform test` ask. Whatever else the protocol has is left to
// the nil interface and never reached: ConfigureProvider comes before it, and refuses.
type server struct {
	tfprotov5.ProviderServer
	schema *tfprotov5.GetProviderSchemaResponse
}

func (s server) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	return s.schema, nil
}

func (server) PrepareProviderConfig(_ context.Context, asked *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: asked.Config}, nil
}

func (server) ValidateResourceTypeConfig(context.Context, *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	return &tfprotov5.ValidateResourceTypeConfigResponse{}, nil
}

func (server) ConfigureProvider(context.Context, *tfprotov5.ConfigureProviderRequest) (*tfprotov5.ConfigureProviderResponse, error) {
	return nil, errors.New("this azurerm is a test's: it has schemas only, and reaches no cloud")
}

func (server) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}

func (server) GetMetadata(context.Context, *tfprotov5.GetMetadataRequest) (*tfprotov5.GetMetadataResponse, error) {
	return nil, errors.New("not offered: ask for the schema")
}

func (server) GetResourceIdentitySchemas(context.Context, *tfprotov5.GetResourceIdentitySchemasRequest) (*tfprotov5.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov5.GetResourceIdentitySchemasResponse{}, nil
}

func main() {
	_, version, _ := strings.Cut(filepath.Base(os.Args[0]), "_v")
	schema, err := read(version)
	if err == nil {
		err = tf5server.Serve("registry.terraform.io/hashicorp/azurerm", func() tfprotov5.ProviderServer {
			return server{schema: schema}
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
