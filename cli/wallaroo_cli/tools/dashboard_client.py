"""Asks a cluster's page for its snapshot, over HTTP."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from wallaroo.errors import ClusterError, ConfigError
from wallaroo_workers.network.tls import page_client_context

TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 64 << 20
REFUSED_STATUSES = (401, 403, 421)


class DashboardClient:
    """The page of one cluster.

    ``secret`` is empty if reading needs none. ``authority`` is the file of the authority that
    signed the page's certificate; it is empty if the page does not use TLS.
    """

    def __init__(self, address: str, secret: str, authority: str = "") -> None:
        self._address = address
        scheme = "https" if authority else "http"
        self._request = urllib.request.Request(f"{scheme}://{address}/api/snapshot")
        if secret:
            self._request.add_header("Authorization", f"Bearer {secret}")
        # Proxies named in the environment are not meant for clusters.
        around: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if authority:
            context = page_client_context(authority)
            around.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*around)

    def snapshot(self) -> dict[str, Any]:
        """Return the cluster as it is now.

        Raises ``ClusterError`` if nobody answers, ``ConfigError`` if the page refuses.
        """
        try:
            with self._opener.open(self._request, timeout=TIMEOUT_S) as response:
                found = json.loads(response.read(ANSWER_BYTES_MAX))
        except urllib.error.HTTPError as error:
            with error:
                if error.code in REFUSED_STATUSES:
                    raise ConfigError(
                        f"the page at {self._address} refuses: {error.reason}",
                        hint="set WALLAROO_SECRET to the cluster's secret",
                    ) from error
                raise self._unreachable(f"status {error.code}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._unreachable(str(getattr(error, "reason", error))) from error
        if not isinstance(found, dict) or "workers" not in found:
            raise self._unreachable("it is not the page of a cluster")
        return found

    def _unreachable(self, reason: str) -> ClusterError:
        return ClusterError(
            f"no answer from a cluster's page at {self._address}: {reason}",
            hint="wallaroo-run logs the address as dashboard.listening; --dashboard H:P names it, "
            "and where it begins with https, --tls-ca PATH the cluster's authority",
        )
