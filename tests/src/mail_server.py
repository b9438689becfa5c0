"""A server of mail for tests: keeps each letter that it takes as JSON, in the order in which they came.

Recipients decide what happens: unknown… is nobody, later… is refused for now, slow… is taken long before it is said.
"""

import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

FOLDER, PORT, OPTIONS = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
SECONDS_OF_SLOW = 4


class Keep:
    def __init__(self):
        self.number = len(os.listdir(FOLDER))

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("unknown"):
            return "550 5.1.1 nobody has that name"
        if address.startswith("later"):
            return "451 4.2.1 come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "head": [[name, str(value)] for name, value in letter.items()],
            "text": letter.get_body(("plain",)).get_content(),
            "tls": server.transport.get_extra_info("ssl_object") is not None,
            "user": session.auth_data,
        }
        place = os.path.join(FOLDER, f"{self.number:06}")
        self.number += 1
        with open(place + ".new", "w", encoding="utf-8") as file:
            json.dump(kept, file)
        os.rename(place + ".new", place)
        if any(address.startswith("slow") for address in envelope.rcpt_tos):
            await asyncio.sleep(SECONDS_OF_SLOW)
        return "250 OK"


def let_in(server, session, envelope, mechanism, data):
    is_known = [data.login.decode(), data.password.decode()] == OPTIONS["login"]
    return AuthResult(success=is_known, handled=False, auth_data=data.login.decode())


async def main():
    context = None
    if OPTIONS["certificate"]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(OPTIONS["certificate"], OPTIONS["key"])
    is_wrapped = OPTIONS["wrapped"]
    how = {"hostname": "mail.test", "enable_SMTPUTF8": True}
    if context and not is_wrapped:
        how.update(tls_context=context, require_starttls=True)
    if OPTIONS["login"]:
        how.update(authenticator=let_in, auth_required=True, auth_require_tls=not is_wrapped)
    keep = Keep()
    listening = await asyncio.get_running_loop().create_server(
        lambda: SMTP(keep, **how), "127.0.0.1", PORT, ssl=context if is_wrapped else None
    )
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


# What clients do wrong on purpose is no news.
logging.disable()
asyncio.run(main())
