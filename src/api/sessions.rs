//! `/auth/sessions`: who is logged in, and the end of all that a person has (decision 14).

use serde_json::{Value, json};

use super::{Answer, ApiError, Call, ok};
use crate::host::Method;
use crate::identity::Identity;
use crate::person::Person;
use crate::policy::rights::ADMIN;
use crate::share::date;
use crate::store::{SessionRecord, ShareFilter, StoreError, WhichSessions};

/// `GET /auth/sessions`: those of `user` (name or subject), or all; own ones without `admin-permissions`.
pub fn collection(call: &Call<'_>) -> Answer {
    if call.rest.request.method == Method::Delete {
        // To take it for one without arguments would end the wrong person's.
        return Err(ApiError::bad(
            "the server does not hand on the arguments of a DELETE: say in the path whose sessions end, \
             /auth/sessions/user/{name or subject}, or which one, /auth/sessions/{ID}",
        ));
    }
    let (mut user, mut issuer) = (None, None);
    for (name, value) in &call.rest.request.arguments {
        let known = match *name {
            "user" => &mut user,
            "issuer" => &mut issuer,
            name if call.api.gate.places.is_credential_argument(name) => continue,
            name => return Err(ApiError::bad(format!("{name}: unknown argument; these are known: user, issuer"))),
        };
        if known.replace(call.argument(value)).is_some() {
            return Err(ApiError::bad(format!("{name}: said twice")));
        }
    }
    if user.is_none() && issuer.is_some() {
        return Err(ApiError::bad("issuer: says of which provider the user is, and there is no user"));
    }
    let person = match (user, is_admin(call)) {
        (None, true) => None,
        (user, _) => Some(named(call, user.as_deref(), issuer.as_deref())?),
    };
    let sessions = call.api.gate.identities.verifiers().store.sessions(person.as_ref())?;
    let accounts = &call.api.gate.identities.verifiers().local;
    let in_force = sessions.iter().filter(|session| session.expires_at > call.now);
    let shown = in_force.map(|session| {
        let is_local = session.person.issuer == Person::LOCAL;
        let configured = if is_local { accounts.roles(&session.person.subject) } else { None };
        describe(session, configured.unwrap_or(&session.roles))
    });
    let shown: Vec<Value> = shown.collect();
    Ok(ok(&json!(shown)))
}

/// `DELETE /auth/sessions/{id}`: one browser has to log in again.
pub fn one(call: &Call<'_>, id: &str) -> Answer {
    let verifiers = call.api.gate.identities.verifiers();
    let owner = if is_admin(call) { None } else { Some(named(call, None, None)?) };
    let sessions = verifiers.store.sessions(owner.as_ref())?;
    let found = verifiers.sessions.as_ref().filter(|_| sessions.iter().any(|session| session.id == id));
    let Some(keeper) = found else { return Err(ApiError::new(404, "there is no such session")) };
    keeper.end_all(&WhichSessions::One(id))?;
    log::warn!("a session was ended by {}", call.names());
    Ok(ok(&json!({})))
}

/// `DELETE /auth/sessions/user/{user}`: ends the sessions of a person, by name or subject, and everything else that was
/// given to them until now: tokens, keys and links.
pub fn of_user(call: &Call<'_>, user: &str) -> Answer {
    let person = named(call, Some(user), None)?;
    end(call, &person)
}

fn is_admin(call: &Call<'_>) -> bool {
    call.holder_of(ADMIN).is_some_and(|identity| identity.person.is_some())
}

/// The person that a name or subject means; without one, whoever asks.
fn named(call: &Call<'_>, user: Option<&str>, issuer: Option<&str>) -> Result<Person, ApiError> {
    let own = call.verified.iter().find(|identity| identity.is_person());
    let own: Option<(&Identity, &Person)> = own.and_then(|identity| Some((&**identity, identity.person.as_ref()?)));
    let Some(user) = user.filter(|_| is_admin(call)) else {
        let Some((identity, person)) = own else { return Err(call.refuse("only people have sessions")) };
        let is_own = user.is_none_or(|user| user == identity.name || user == person.subject)
            && issuer.is_none_or(|issuer| issuer == person.issuer);
        // Whether there is such a user is nobody else's business.
        return if is_own { Ok(person.clone()) } else { Err(call.refuse("somebody else's sessions")) };
    };
    match the_one_called(call, user, issuer) {
        Err(error) if error.status == 404 && issuer.is_none_or(|issuer| issuer == Person::LOCAL) => {
            // Whoever gets the name next would have it.
            let gone = Person::local(user);
            if left_something(call, &gone)? { Ok(gone) } else { Err(error) }
        }
        found => found,
    }
}

/// Whether somebody has keys, links or sessions.
fn left_something(call: &Call<'_>, person: &Person) -> Result<bool, StoreError> {
    let store = &call.api.gate.identities.verifiers().store;
    let links = ShareFilter { owner: Some(person.clone()), limit: Some(1), ..ShareFilter::default() };
    Ok(!store.api_keys(Some(person))?.is_empty()
        || !store.shares(&links)?.is_empty()
        || !store.sessions(Some(person))?.is_empty())
}

/// The one person of this name or subject, for a new link.
pub(super) fn person_called(call: &Call<'_>, user: &str) -> Result<Person, ApiError> {
    the_one_called(call, user, None).map_err(|error| match error.status {
        404 => ApiError::bad(
            "Recipient: nobody of this name or subject was seen here; whoever it is must have logged in once",
        ),
        409 => ApiError::bad(format!("Recipient: {}", error.details)),
        _ => error,
    })
}

/// The one person with this subject; if there is none, of this name.
fn the_one_called(call: &Call<'_>, user: &str, issuer: Option<&str>) -> Result<Person, ApiError> {
    let verifiers = call.api.gate.identities.verifiers();
    let mut found: Vec<(Person, String)> =
        verifiers.store.people_called(user)?.into_iter().map(|known| (known.person, known.name)).collect();
    if verifiers.local.roles(user).is_some() {
        found.push((Person::local(user), user.to_owned()));
    }
    found.retain(|(person, _)| issuer.is_none_or(|issuer| *issuer == person.issuer));
    // Somebody whose provider got another address is two people. What the first of them has gives nothing any more.
    if issuer.is_none()
        && found.iter().any(|(person, _)| person.issuer != Person::LOCAL && verifiers.is_vouched_for(person))
    {
        found.retain(|(person, _)| verifiers.is_vouched_for(person));
    }
    // Whoever changes their own name to another's subject stands in nobody's way.
    if found.iter().any(|(person, _)| person.subject == user) {
        found.retain(|(person, _)| person.subject == user);
    }
    match found.as_slice() {
        [] => Err(ApiError::new(404, "nobody of this name or subject was seen here")),
        [(person, _)] => Ok(person.clone()),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|(person, name)| format!("{name:?} is {:?} of {}", person.subject, person.issuer))
                .collect();
            Err(ApiError::new(409, format!("several people are called this, name the subject: {}", names.join("; "))))
        }
    }
}

fn end(call: &Call<'_>, person: &Person) -> Answer {
    let verifiers = call.api.gate.identities.verifiers();
    verifiers.store.set_not_before(person, call.now)?;
    // The sessions are over by that already; without them nothing is renewed in vain.
    match &verifiers.sessions {
        Some(sessions) => {
            sessions.end_all(&WhichSessions::Of(person))?;
        }
        None => call.api.gate.identities.forget(),
    }
    log::warn!(
        "everything that {:?} of {} had was ended by {}",
        crate::log_text::shorten(&person.subject),
        person.issuer,
        call.names()
    );
    Ok(ok(&json!({})))
}

fn describe(session: &SessionRecord, roles: &[String]) -> Value {
    json!({
        "ID": session.id,
        "User": session.name,
        "Subject": session.person.subject,
        "Issuer": session.person.issuer,
        "Roles": roles,
        "CreationDate": date::format(session.created_at),
        "ExpirationDate": date::format(session.expires_at),
        "LastUse": session.last_use.map(date::format),
    })
}
