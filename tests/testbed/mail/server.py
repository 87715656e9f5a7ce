"""A real mail server for tests, on PyPI's aiosmtpd: it keeps what it gets, and refuses, hangs or hangs up on demand.

One argument, JSON: "tls" ("none", "starttls", "tls"), "certificate", "key", "login" ([name, password] or null), "refuse" (a
recipient), "fault" (null, "hang", "drop"). Says its port on the first line, and each mail on a line of its own, as JSON.
"""
import asyncio
import base64
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

plan = json.loads(sys.argv[1])

# What a server may say in its answers, and nobody behind us is to be told.
CHATTER = "mx7.inner.example queue 4711"


def say(value):
    print(json.dumps(value), flush=True)


def authenticator(server, session, envelope, mechanism, data):
    given = [data.login.decode(), data.password.decode()]
    say({"login": mechanism, "tls": session.ssl is not None or plan["tls"] == "tls"})
    # Not handled yet: the server is to say what became of it.
    return AuthResult(success=given == plan["login"], handled=False)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address == plan.get("refuse"):
            return f"550 5.1.1 {CHATTER}: no such mailbox <{address}>"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if plan.get("fault") == "hang":
            await asyncio.sleep(3600)
        if plan.get("fault") == "drop":
            server.transport.abort()
            return "421 gone"
        say({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None or plan["tls"] == "tls",
            "login": bool(session.authenticated),
            "hello": session.host_name,
            "mail": base64.b64encode(envelope.original_content).decode(),
        })
        return f"250 2.0.0 {CHATTER}"


async def main():
    context = None
    if plan["tls"] != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(plan["certificate"], plan["key"])
    starttls = plan["tls"] == "starttls"

    def session():
        return SMTP(
            Handler(),
            hostname="mail.test",
            ident=CHATTER,
            tls_context=context if starttls else None,
            require_starttls=starttls,
            authenticator=authenticator if plan["login"] else None,
            auth_required=bool(plan["login"]),
            # It does not know of TLS from the start.
            auth_require_tls=starttls,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if plan["tls"] == "tls" else None)
    say({"port": server.sockets[0].getsockname()[1]})
    await server.serve_forever()


asyncio.run(main())
