/** `/api/auth/2fa/*`: the secret stays with the server between setup and enable, and no code works twice. Tests: ../login.int.test.ts. */
import { type ApiShell, sessionOf } from "@headwater/api-http";
import { BackupCodesRequest, TwoFactorDisableRequest, TwoFactorEnableRequest } from "@headwater/protocol";
import {
  type AccountPorts,
  isSecondFactorRight,
  isTotpRight,
  loadUser,
  openTotpSecret,
  refusal,
  stepUp,
  totpContext,
} from "./account-ports.ts";
import { hashed } from "./account-routes.ts";
import { newTotpSecret, totpQrCode, totpStep } from "./totp.ts";

export function twoFactorRoutes({ routes, session, json }: ApiShell, ports: AccountPorts): void {
  routes.post("/api/auth/2fa/setup", session, async (req, res) => {
    const user = await loadUser(ports, sessionOf(req).userId);
    const secret = newTotpSecret();
    if (!(await ports.twoFactor.setPending(user.id, ports.sealer.seal(secret, totpContext(user.id))))) throw refusal("TWO_FACTOR_ENABLED");
    res.json({ success: true, data: { secret, qrCodeUrl: await totpQrCode(secret, user.email), manualEntryKey: secret } });
  });

  routes.post("/api/auth/2fa/enable", session, json, async (req, res) => {
    const { token } = TwoFactorEnableRequest.parse(req.body);
    const user = await loadUser(ports, sessionOf(req).userId);
    let backupCodes: string[] | undefined;
    await stepUp(ports, user.id, "enable", async () => {
      const pending = user.totpPending;
      const secret = pending && openTotpSecret(ports, user.id, pending);
      const step = secret ? totpStep(secret, token.trim(), ports.now()) : undefined;
      // The secret that the code was compared with, not one that another setup put in its place meanwhile.
      backupCodes = pending && step !== undefined ? await ports.twoFactor.enable(user.id, pending, step) : undefined;
      if (!backupCodes) throw refusal("INVALID_CODE");
    });
    ports.log.info({ userId: user.id }, "auth.two_factor_enabled");
    res.json({ success: true, backupCodes });
  });

  routes.post("/api/auth/2fa/disable", session, json, async (req, res) => {
    const { token, password } = TwoFactorDisableRequest.parse(req.body);
    const user = await loadUser(ports, sessionOf(req).userId);
    await stepUp(ports, user.id, token === undefined ? "password" : "code", async () => {
      const isProven =
        token === undefined
          ? password !== undefined && (await hashed(() => ports.hasher.verify(user.passwordHash, password)))
          : await isSecondFactorRight(ports, user, token);
      if (!isProven) throw refusal("INVALID_CODE");
    });
    await ports.twoFactor.disable(user.id);
    ports.log.info({ userId: user.id }, "auth.two_factor_disabled");
    res.json({ success: true });
  });

  routes.get("/api/auth/2fa/backup-codes/status", session, async (req, res) => {
    res.json({ success: true, unusedCount: await ports.twoFactor.unusedCodes(sessionOf(req).userId) });
  });

  routes.post("/api/auth/2fa/backup-codes/regenerate", session, json, async (req, res) => {
    const { token } = BackupCodesRequest.parse(req.body);
    const user = await loadUser(ports, sessionOf(req).userId);
    await stepUp(ports, user.id, "code", async () => {
      if (!(await isTotpRight(ports, user, token))) throw refusal("INVALID_CODE");
    });
    res.json({ success: true, backupCodes: await ports.twoFactor.regenerate(user.id) });
  });
}
