package main

import "postern/plugin"

// The plug-in's texts, by language.
var (
	textSent = map[string]string{"en": "Enter the code that we sent to %s.", "de": "Geben Sie den Code ein, den wir an %s geschickt haben.",
		"fr": "Saisissez le code envoyé à %s.", "es": "Introduce el código que enviamos a %s.", "ru": "Введите код, отправленный на %s."}
	textCode  = map[string]string{"en": "Code", "de": "Code", "fr": "Code", "es": "Código", "ru": "Код"}
	textWhere = map[string]string{"en": "Where shall the code go?", "de": "Wohin soll der Code gehen?", "fr": "Où envoyer le code ?",
		"es": "¿Adónde enviamos el código?", "ru": "Куда отправить код?"}
	textAddress = map[string]string{"en": "We send a code there, to see that it is yours.", "de": "Wir schicken einen Code dorthin, um zu sehen, dass Sie ihn bekommen.",
		"fr": "Nous y envoyons un code pour vérifier que vous le recevez.", "es": "Enviaremos un código para comprobar que te llega.",
		"ru": "Мы отправим код, чтобы проверить, что он до вас доходит."}
	textTel     = map[string]string{"en": "Telephone number", "de": "Telefonnummer", "fr": "Numéro de téléphone", "es": "Número de teléfono", "ru": "Номер телефона"}
	textTelHint = map[string]string{"en": "With the country’s code, such as +49 151 23456789", "de": "Mit Ländervorwahl, etwa +49 151 23456789",
		"fr": "Avec l’indicatif du pays, par exemple +33 6 12 34 56 78", "es": "Con el prefijo del país, por ejemplo +34 612 34 56 78",
		"ru": "С кодом страны, например +7 912 345-67-89"}
	textPlace = map[string]string{"en": "Address", "de": "Adresse", "fr": "Adresse", "es": "Dirección", "ru": "Адрес"}
)

func say(r *plugin.Request, t map[string]string) string {
	if s := t[r.Language]; s != "" {
		return s
	}
	return t["en"]
}
