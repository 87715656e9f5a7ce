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
        }
    }
}
