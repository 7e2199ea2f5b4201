package doctor

import (
	"context"

	"postern/internal/account"
)

// siteSwitch tells loudly when somebody switched Postern off.
func (e *examination) siteSwitch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, directoryTime)
	defer cancel()
	store, _, err := e.Config.OpenStore(account.RoleDoor)
	if err != nil {
		e.unchecked("switch", "", err.Error())
		return
	}
	defer store.Close()
	s, err := store.Switch(ctx)
	switch {
	case err != nil:
		e.unchecked("switch", "", err.Error())
	case s.IsOff(e.Now()):
		e.wrong("switch", "", "POSTERN IS SWITCHED OFF until "+s.Until.UTC().Format("2006-01-02 15:04 MST")+" by "+s.By+": "+s.Reason)
	default:
		e.ok("switch", "", "Postern is on")
	}
}
