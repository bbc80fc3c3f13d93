import { describe, expect, it } from "vitest";
import { ApiError, apiErrorBody } from "./api-error.ts";

describe("API errors", () => {
  it("take status and message from the contract", () => {
    expect(new ApiError("FEED_NOT_FOUND")).toMatchObject({ status: 404, message: "Feed not found", code: "FEED_NOT_FOUND" });
    expect(new ApiError("INVALID_PAYLOAD", { message: "email and password required" })).toMatchObject({ status: 400 });
    expect(new ApiError("USER_EXISTS", { message: "user already exists" })).toMatchObject({ status: 400, code: "USER_EXISTS" });
    expect(new ApiError("toString")).toMatchObject({ status: 400, message: "invalid payload" });
  });

  it("are written in the order of the contract, without their cause", () => {
    const error = new ApiError(
      "RATE_LIMITED",
      { fields: { error: "too_many_requests" } },
      { cause: new Error("db.internal:5432 refused") },
    );
    expect(apiErrorBody(error)).toBe(
      '{"success":false,"message":"Rate limit exceeded. Please try again later.","code":"RATE_LIMITED","error":"too_many_requests"}',
    );
    expect(apiErrorBody(new ApiError("INTERNAL"), "llm")).toBe(
      '{"success":false,"message":"internal error","error":"internal error","code":"INTERNAL"}',
    );
  });
});
