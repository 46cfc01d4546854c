-- http-request lua.opentoken_authz: asks the gateway whether a request may pass.
-- It does if the answer is 200: then txn.opentoken_accepted is true, and the request has the identity
-- headers of its key. Otherwise the client gets the gateway's answer, or 503 if there is none.

local IDENTITY = { "x-opentoken-workspace-id", "x-opentoken-key-id", "x-opentoken-scopes" }
local PASSED_ON = { "content-type", "www-authenticate", "retry-after", "x-should-retry", "x-request-id" }
local MILLISECONDS = 3000
local UNAVAILABLE = '{"error":{"message":"api keys cannot be verified at the moment: retry",'
    .. '"type":"server_error","code":"verification_unavailable"}}'

-- What the gateway looks at: the credential, the id, and names that read like the identity headers.
local function question(txn)
    local headers = {
        ["host"] = { "opentoken" },
        ["x-original-method"] = { txn.sf:method() },
        ["x-original-uri"] = { txn.sf:pathq() },
        ["x-forwarded-for"] = { txn.sf:src() },
    }
    for name, values in pairs(txn.http:req_get_headers()) do
        if name == "authorization" or name == "x-request-id" or name:find("opentoken", 1, true) then
            headers[name] = {}
            for _, value in pairs(values) do
                table.insert(headers[name], value)
            end
        end
    end
    return headers
end

local function refuse(txn, status, headers, body)
    local reply = txn:reply({ status = status })
    for _, name in ipairs(PASSED_ON) do
        if headers[name] then
            reply:add_header(name, headers[name][0])
        end
    end
    reply:set_body(body)
    txn:done(reply)
end

local function authorize(txn)
    local answer = core.httpclient():get({
        url = "http://" .. txn:get_var("txn.opentoken_questions") .. "/authz",
        headers = question(txn),
        timeout = MILLISECONDS,
    })
    local status, headers = answer and answer.status or 0, answer and answer.headers or {}
    if status == 200 then
        for _, name in ipairs(IDENTITY) do
            txn.http:req_set_header(name, headers[name] and headers[name][0] or "")
        end
        if headers["x-request-id"] then
            txn.http:req_set_header("x-request-id", headers["x-request-id"][0])
            txn:set_var("txn.opentoken_request_id", headers["x-request-id"][0])
        end
        txn:set_var("txn.opentoken_accepted", true)
    elseif headers["x-opentoken-error"] then
        refuse(txn, status, headers, headers["x-opentoken-error"][0])
    else
        -- HAProxy's own answer, if it could not ask, is no verdict.
        local soon = { ["content-type"] = { [0] = "application/json" }, ["retry-after"] = { [0] = "1" } }
        refuse(txn, 503, soon, UNAVAILABLE)
    end
end

core.register_action("opentoken_authz", { "http-req" }, authorize)
