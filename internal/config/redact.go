package config

import (
	"bytes"
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v4"
)

// secretKeys are those under which nobody should have written a secret, and somebody may have.
var secretKeys = regexp.MustCompile(`(?i)(password|passwd|secret|token|key|credential)s?$`)

// Redacted is a configuration file without its comments and without what may be a secret in it, for whoever is to look
// at it. Of a file that is no YAML nothing is left.
func Redacted(data []byte) []byte {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return fmt.Appendf(nil, "# it is no YAML: %v\n", err)
	}
	redact(&root)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&root); err != nil {
		return fmt.Appendf(nil, "# it can't be written: %v\n", err)
	}
	return b.Bytes()
}

func redact(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for i, inner := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && secretKeys.MatchString(n.Content[i-1].Value) {
			*inner = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "MASKED"}
			continue
		}
		redact(inner)
	}
}
