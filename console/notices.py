"""What the next page says was done: fixed sentences, named in its address and never taken from it."""

from __future__ import annotations

from typing import Final

NOTICES: Final = {
    "signed-out": "You are signed out.",
    "signed-out-meanwhile": "Your sign-in had ended, so nothing was done. Sign in, and do it again.",
    "password-set": "Your password is set. Sign in with it.",
    "stored": "Good. The key works; its secret won’t be shown again.",
    "saved": "Saved.",
    "paused": "The key is paused: requests with it are refused from now on, everywhere.",
    "resumed": "The key works again.",
    "spreading": "It is done, and reaches the last verifier within seconds.",
    "role-changed": "The role is changed.",
    "withdrawn": "The invitation is withdrawn: its link no longer works.",
    "joined": "You are in. Welcome.",
    "left": "You have left the workspace.",
    "session-ended": "That sign-in is ended.",
    "sessions-ended": "All other sign-ins are ended.",
    "password-changed": "Your password is changed, and all other sign-ins are ended.",
    "workspace-created": "The workspace is there, and you are its owner.",
    "administrator-added": "They are an administrator now.",
    "administrator-no-more": "You are no administrator any more.",
    "signed-out-everywhere": "They are signed out everywhere.",
    "disabled": "They are signed out everywhere, and can’t sign in any more. Their keys still work.",
    "enabled": "They can sign in again.",
    "administrator-removed": "They are no administrator any more.",
}
