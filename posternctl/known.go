package main

import (
	"postern/internal/account"
	"postern/internal/desk"
)

// knownUsers are the accounts whose main password is enough from known devices.
func knownUsers(list []desk.KnownUser) (all []object, rows [][]string) {
	all = []object{}
	for i := range list {
		u := &list[i]
		o, own := knownDevices(&u.Known)
		o["user"], o["domain"] = u.User, u.Domain
		all = append(all, o)
		for _, r := range own {
			rows = append(rows, append([]string{u.User, when(u.Until, "")}, r...))
		}
	}
	return all, rows
}

const knownHeader = "SERVICE,NETWORK,LAST SEEN"

// knownDevices are those of one account, the latest first; nil: there are none.
func knownDevices(k *desk.Known) (o object, rows [][]string) {
	if k == nil {
		return nil, nil
	}
	devices := []object{}
	for i := len(k.Devices) - 1; i >= 0; i-- {
		d := &k.Devices[i]
		devices = append(devices, knownDevice(d))
		rows = append(rows, []string{string(d.Service), d.Network.String(), when(d.At(), "unknown")})
	}
	return object{"until": stamp(k.Until), "devices": devices}, rows
}

func knownDevice(d *account.KnownDevice) object {
	return object{"service": d.Service, "network": d.Network, "seen": stamp(d.At())}
}

// remembered is all that an account remembers of devices, whether it counts or not.
func remembered(k *account.Known) object {
	devices := []object{}
	for i := range k.Devices {
		devices = append(devices, knownDevice(&k.Devices[i]))
	}
	o := object{"devices": devices}
	o.addTime("since", k.Since)
	return o
}
