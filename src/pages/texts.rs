//! What the pages say, in each language. `{}` stands for a name.

use super::Language;

/// A sentence of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// Heading of the login.
    SignIn,
    /// Label.
    UserName,
    /// Label.
    Password,
    /// Button; the provider.
    SignInWith,
    /// Problem.
    WrongPassword,
    /// Problem.
    TooManyAttempts,
    /// Heading.
    SignInFailed,
    /// Problem.
    ProviderAway,
    /// Problem.
    LoginTooOld,
    /// Problem.
    LoginRefused,
    /// Button.
    TryAgain,
    /// Heading and button.
    SignOut,
    /// Paragraph.
    SignOutQuestion,
    /// Heading.
    SignedOut,
    /// Problem.
    FromElsewhere,
    /// Heading and button.
    LinkOpen,
    /// Label.
    Pin,
    /// Problem.
    WrongPin,
    /// Paragraph.
    LinkCounted,
    /// Heading.
    LinkClosed,
    /// Problem.
    LinkUnknown,
    /// Problem.
    LinkExpired,
    /// Problem.
    LinkRevoked,
    /// Problem.
    LinkNotYet,
    /// Problem.
    LinkUsedUp,
    /// Problem.
    LinkUnavailable,
    /// Problem.
    LinkForSomebodyElse,
    /// Problem.
    LinkNeedsLogin,
    /// Heading.
    ViewerRefused,
    /// Problem.
    ViewerUnknown,
    /// Problem.
    LinkToOpenAgain,
}

impl Text {
    /// The sentence in a language.
    #[must_use]
    pub const fn in_language(self, language: Language) -> &'static str {
        let [english, french, german, dutch, spanish, portuguese] = self.all();
        match language {
            Language::English => english,
            Language::French => french,
            Language::German => german,
            Language::Dutch => dutch,
            Language::Spanish => spanish,
            Language::Portuguese => portuguese,
        }
    }

    /// English, French, German, Dutch, Spanish, Portuguese.
    const fn all(self) -> [&'static str; 6] {
        match self {
            Self::SignIn => ["Sign in", "Connexion", "Anmelden", "Aanmelden", "Iniciar sesión", "Iniciar sessão"],
            Self::UserName => [
                "User name",
                "Nom d’utilisateur",
                "Benutzername",
                "Gebruikersnaam",
                "Nombre de usuario",
                "Nome de utilizador",
            ],
            Self::Password => ["Password", "Mot de passe", "Passwort", "Wachtwoord", "Contraseña", "Palavra-passe"],
            Self::SignInWith => [
                "Sign in with {}",
                "Se connecter avec {}",
                "Anmelden mit {}",
                "Aanmelden met {}",
                "Iniciar sesión con {}",
                "Iniciar sessão com {}",
            ],
            Self::WrongPassword => [
                "Unknown user name or wrong password.",
                "Nom d’utilisateur inconnu ou mot de passe incorrect.",
                "Unbekannter Benutzername oder falsches Passwort.",
                "Onbekende gebruikersnaam of verkeerd wachtwoord.",
                "Nombre de usuario desconocido o contraseña incorrecta.",
                "Nome de utilizador desconhecido ou palavra-passe errada.",
            ],
            Self::TooManyAttempts => [
                "Too many attempts. Please wait a moment and try again.",
                "Trop de tentatives. Veuillez patienter un instant et réessayer.",
                "Zu viele Versuche. Bitte warten Sie einen Moment und versuchen Sie es erneut.",
                "Te veel pogingen. Wacht even en probeer het opnieuw.",
                "Demasiados intentos. Espere un momento y vuelva a intentarlo.",
                "Demasiadas tentativas. Aguarde um momento e tente novamente.",
            ],
            Self::SignInFailed => [
                "Sign-in failed",
                "Échec de la connexion",
                "Anmeldung fehlgeschlagen",
                "Aanmelden mislukt",
                "No se pudo iniciar sesión",
                "Não foi possível iniciar sessão",
            ],
            Self::ProviderAway => [
                "The login service does not answer at the moment.",
                "Le service de connexion ne répond pas pour le moment.",
                "Der Anmeldedienst antwortet im Augenblick nicht.",
                "De aanmelddienst antwoordt op dit moment niet.",
                "El servicio de inicio de sesión no responde en este momento.",
                "O serviço de início de sessão não responde neste momento.",
            ],
            Self::LoginTooOld => [
                "This sign-in was begun too long ago, or in another browser.",
                "Cette connexion a été commencée il y a trop longtemps ou dans un autre navigateur.",
                "Diese Anmeldung wurde vor zu langer Zeit oder in einem anderen Browser begonnen.",
                "Deze aanmelding is te lang geleden of in een andere browser begonnen.",
                "Este inicio de sesión comenzó hace demasiado tiempo o en otro navegador.",
                "Este início de sessão começou há demasiado tempo ou noutro navegador.",
            ],
            Self::LoginRefused => [
                "The login service has refused. The administrator finds the reason in the log.",
                "Le service de connexion a refusé. L’administrateur en trouve la raison dans le journal.",
                "Der Anmeldedienst hat abgelehnt. Der Grund steht im Protokoll, für den Administrator.",
                "De aanmelddienst heeft geweigerd. De beheerder vindt de reden in het logboek.",
                "El servicio de inicio de sesión lo ha rechazado. El administrador encontrará el motivo en el registro.",
                "O serviço de início de sessão recusou. O administrador encontra o motivo no registo.",
            ],
            Self::TryAgain => [
                "Try again",
                "Réessayer",
                "Erneut versuchen",
                "Opnieuw proberen",
                "Volver a intentar",
                "Tentar novamente",
            ],
            Self::SignOut => ["Sign out", "Déconnexion", "Abmelden", "Afmelden", "Cerrar sesión", "Terminar sessão"],
            Self::SignOutQuestion => [
                "Do you want to sign out here and at the login service?",
                "Voulez-vous vous déconnecter ici et du service de connexion ?",
                "Möchten Sie sich hier und beim Anmeldedienst abmelden?",
                "Wilt u zich hier en bij de aanmelddienst afmelden?",
                "¿Desea cerrar la sesión aquí y en el servicio de inicio de sesión?",
                "Deseja terminar a sessão aqui e no serviço de início de sessão?",
            ],
            Self::SignedOut => [
                "You are signed out",
                "Vous êtes déconnecté",
                "Sie sind abgemeldet",
                "U bent afgemeld",
                "Ha cerrado la sesión",
                "Terminou a sessão",
            ],
            Self::FromElsewhere => [
                "This was not sent from this page. Please try again.",
                "Cet envoi ne vient pas de cette page. Veuillez réessayer.",
                "Das wurde nicht von dieser Seite gesendet. Bitte versuchen Sie es erneut.",
                "Dit is niet vanaf deze pagina verzonden. Probeer het opnieuw.",
                "Esto no se envió desde esta página. Vuelva a intentarlo.",
                "Isto não foi enviado a partir desta página. Tente novamente.",
            ],
            Self::LinkOpen => [
                "Open the images",
                "Ouvrir les images",
                "Bilder öffnen",
                "De beelden openen",
                "Abrir las imágenes",
                "Abrir as imagens",
            ],
            Self::Pin => [
                "PIN or password",
                "Code PIN ou mot de passe",
                "PIN oder Passwort",
                "Pincode of wachtwoord",
                "PIN o contraseña",
                "PIN ou palavra-passe",
            ],
            Self::WrongPin => [
                "This is not the PIN or password of this link.",
                "Ce n’est pas le code PIN ou le mot de passe de ce lien.",
                "Das ist nicht die PIN oder das Passwort dieses Links.",
                "Dit is niet de pincode of het wachtwoord van deze link.",
                "Este no es el PIN o la contraseña de este enlace.",
                "Este não é o PIN ou a palavra-passe desta ligação.",
            ],
            Self::LinkCounted => [
                "This link can be opened a limited number of times. It counts when you press the button.",
                "Ce lien ne peut être ouvert qu’un nombre limité de fois. Il est compté lorsque vous appuyez sur le bouton.",
                "Dieser Link lässt sich nur begrenzt oft öffnen. Gezählt wird, wenn Sie auf den Knopf drücken.",
                "Deze link kan een beperkt aantal keren worden geopend. Er wordt geteld wanneer u op de knop drukt.",
                "Este enlace puede abrirse un número limitado de veces. Se cuenta al pulsar el botón.",
                "Esta ligação pode ser aberta um número limitado de vezes. Conta quando premir o botão.",
            ],
            Self::LinkClosed => [
                "This link cannot be opened",
                "Ce lien ne peut pas être ouvert",
                "Dieser Link lässt sich nicht öffnen",
                "Deze link kan niet worden geopend",
                "Este enlace no se puede abrir",
                "Esta ligação não pode ser aberta",
            ],
            Self::LinkUnknown => [
                "There is no such link. Please check that it was copied completely.",
                "Ce lien n’existe pas. Veuillez vérifier qu’il a été copié en entier.",
                "Diesen Link gibt es nicht. Bitte prüfen Sie, ob er vollständig kopiert wurde.",
                "Deze link bestaat niet. Controleer of hij volledig is gekopieerd.",
                "Este enlace no existe. Compruebe que se copió por completo.",
                "Esta ligação não existe. Verifique se foi copiada por completo.",
            ],
            Self::LinkExpired => [
                "This link has expired. Please ask whoever sent it for a new one.",
                "Ce lien a expiré. Veuillez en demander un nouveau à la personne qui l’a envoyé.",
                "Dieser Link ist abgelaufen. Bitte fragen Sie den Absender nach einem neuen.",
                "Deze link is verlopen. Vraag de afzender om een nieuwe.",
                "Este enlace ha caducado. Pida uno nuevo a quien se lo envió.",
                "Esta ligação expirou. Peça uma nova a quem a enviou.",
            ],
            Self::LinkRevoked => [
                "This link has been revoked by its sender.",
                "Ce lien a été retiré par la personne qui l’a envoyé.",
                "Dieser Link wurde vom Absender zurückgenommen.",
                "Deze link is door de afzender ingetrokken.",
                "Quien envió este enlace lo ha retirado.",
                "Esta ligação foi retirada por quem a enviou.",
            ],
            Self::LinkNotYet => [
                "This link cannot be used yet. It can be used from {} (UTC).",
                "Ce lien ne peut pas encore être utilisé. Il pourra l’être à partir du {} (UTC).",
                "Dieser Link gilt noch nicht. Er gilt ab {} (UTC).",
                "Deze link kan nog niet worden gebruikt. Dat kan vanaf {} (UTC).",
                "Este enlace aún no se puede utilizar. Se podrá utilizar a partir del {} (UTC).",
                "Esta ligação ainda não pode ser utilizada. Poderá ser utilizada a partir de {} (UTC).",
            ],
            Self::LinkUsedUp => [
                "This link has been opened the maximum number of times.",
                "Ce lien a été ouvert le nombre maximal de fois.",
                "Dieser Link wurde so oft geöffnet, wie es erlaubt ist.",
                "Deze link is het maximale aantal keren geopend.",
                "Este enlace se ha abierto el número máximo de veces.",
                "Esta ligação foi aberta o número máximo de vezes.",
            ],
            Self::LinkUnavailable => [
                "The images behind this link are no longer available.",
                "Les images de ce lien ne sont plus disponibles.",
                "Die Bilder zu diesem Link sind nicht mehr verfügbar.",
                "De beelden achter deze link zijn niet meer beschikbaar.",
                "Las imágenes de este enlace ya no están disponibles.",
                "As imagens desta ligação já não estão disponíveis.",
            ],
            Self::LinkForSomebodyElse => [
                "This link is for somebody else. If it is for you, sign out and sign in with your other account.",
                "Ce lien est destiné à une autre personne. S’il est pour vous, déconnectez-vous et reconnectez-vous avec votre autre compte.",
                "Dieser Link ist für jemand anderen. Wenn er für Sie ist, melden Sie sich ab und mit Ihrem anderen Konto wieder an.",
                "Deze link is voor iemand anders. Is hij toch voor u, meld u dan af en met uw andere account weer aan.",
                "Este enlace es para otra persona. Si es para usted, cierre la sesión e iníciela con su otra cuenta.",
                "Esta ligação é para outra pessoa. Se for para si, termine a sessão e inicie-a com a sua outra conta.",
            ],
            Self::LinkNeedsLogin => [
                "This link needs you to sign in, and this server has no sign-in. Please tell whoever sent it.",
                "Ce lien exige une connexion, et ce serveur n’en propose pas. Veuillez en informer la personne qui l’a envoyé.",
                "Dieser Link verlangt eine Anmeldung, und dieser Server hat keine. Bitte sagen Sie es dem Absender.",
                "Voor deze link moet u zich aanmelden, en deze server heeft geen aanmelding. Laat het de afzender weten.",
                "Este enlace requiere iniciar sesión y este servidor no lo permite. Avise a quien se lo envió.",
                "Esta ligação exige início de sessão, e este servidor não o permite. Avise quem a enviou.",
            ],
            Self::ViewerRefused => [
                "The viewer cannot open this",
                "La visionneuse ne peut pas ouvrir ceci",
                "Der Viewer kann dies nicht öffnen",
                "De viewer kan dit niet openen",
                "El visor no puede abrir esto",
                "O visualizador não pode abrir isto",
            ],
            Self::ViewerUnknown => [
                "This viewer is not registered here. Please tell the administrator.",
                "Cette visionneuse n’est pas enregistrée ici. Veuillez en informer l’administrateur.",
                "Dieser Viewer ist hier nicht eingetragen. Bitte sagen Sie es dem Administrator.",
                "Deze viewer is hier niet geregistreerd. Laat het de beheerder weten.",
                "Este visor no está registrado aquí. Avise al administrador.",
                "Este visualizador não está registado aqui. Avise o administrador.",
            ],
            Self::LinkToOpenAgain => [
                "Please open the link that you were sent once more.",
                "Veuillez ouvrir encore une fois le lien que vous avez reçu.",
                "Bitte öffnen Sie den Link, den Sie bekommen haben, noch einmal.",
                "Open de link die u hebt gekregen nog een keer.",
                "Abra una vez más el enlace que recibió.",
                "Abra mais uma vez a ligação que recebeu.",
            ],
        }
    }
}
