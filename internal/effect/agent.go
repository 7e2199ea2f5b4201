package effect

import (
	"strings"

	"github.com/mileusna/useragent"
)

// ProgramName is what people call a browser: "Firefox, Windows". The names of mail
// programs, and those that somebody gave, stay. Empty: nobody knows.
func ProgramName(agent string) string {
	if !strings.HasPrefix(agent, "Mozilla/") {
		return agent
	}
	ua := useragent.Parse(agent)
	switch {
	case ua.Name == "" || ua.Name == "Mozilla":
		return ""
	case ua.OS == "":
		return ua.Name
	}
	return ua.Name + ", " + ua.OS
}
