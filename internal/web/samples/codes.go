package samples

import "postern/internal/web"

// Every code there is; a test holds that none is missing.
var (
	eventCodes = []web.EventCode{
		web.EventPasswordless, web.EventAppExpired, web.EventAppUnused, web.EventAppRenewed, web.EventAllRevoked, web.EventCodeShown, web.EventEnrolToken, web.EventBypass, web.EventBypassEnded,
		web.EventSignIn,
		web.EventPasskeySignIn,
		web.EventWrongFactor,
		web.EventTwoFactorOn,
		web.EventTwoFactorOff,
		web.EventMethodAdded,
		web.EventMethodRemoved,
		web.EventMethodDisabled,
		web.EventPasskeyCopied,
		web.EventBackupUsed,
		web.EventBackupNew,
		web.EventDeviceTrusted,
		web.EventDeviceRemoved,
		web.EventSessionsEnded,
		web.EventAppCreated,
		web.EventAppRevoked,
		web.EventAppRevokedTried,
		web.EventMainPassword,
		web.EventPasswordChanged,
		web.EventReset,
	}
	noticeCodes = []web.NoticeCode{
		web.DoneTwoFactorOn,
		web.DoneTwoFactorOff,
		web.DoneMethodAdded,
		web.DoneRenamed,
		web.DoneMethodRemoved,
		web.DonePasskeyRemoved,
		web.DonePasswordlessOn,
		web.DonePasswordlessOff,
		web.DoneCodesNew,
		web.DoneDeviceRemoved,
		web.DoneDevicesRemoved,
		web.DoneSessionEnded,
		web.DoneAppRevoked,
		web.DoneAppRenewed,
		web.DoneAppsRevoked,
		web.DoneAppCreated,
		web.DoneNothing,
		web.DoneAdminReset, web.DoneAdminRevoked, web.DoneAdminAll, web.DoneAdminSessions, web.DoneAdminClass, web.DoneAdminTOTP,
		web.DoneAdminPolicy, web.DoneAdminBypass, web.DoneAdminEnd,
	}
	kinds = []web.Kind{
		web.KindTOTP,
		web.KindPasskey,
		web.KindPlugin,
		web.KindDevice,
		web.KindSession,
		web.KindApp,
	}
	questions = []web.Question{
		web.AskDisable,
		web.AskBackupCodes,
		web.AskSessionsEnd,
		web.AskDevicesEnd,
		web.AskAppsEnd,
	}
	messageCodes = []web.MessageCode{
		web.MessageExpired,
		web.MessageElsewhere,
		web.MessageUsed,
		web.MessageUnavailable,
		web.MessageBusy,
		web.MessageNotFound,
		web.MessageMethod,
		web.MessageForbidden,
		web.MessageTooLarge,
		web.MessageDenied,
		web.MessageSignedOut,
		web.MessageCookies, web.MessageNoAdmin, web.MessageAdminFactor, web.MessageAdminRight,
	}
)
