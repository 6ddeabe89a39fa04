# Installs the Foreman agent on Windows from a Foreman server:
#
#   irm @FOREMAN_URL@/install-agent.ps1 | iex
#
# Running it again updates the agent, or says that it is up to date. What is installed is replaced only by a
# download that matches its checksum and starts here.
#
# With FOREMAN_TOKEN in the environment it goes on, connects this device and, in a console that was opened as
# administrator, installs the service:
#
#   $env:FOREMAN_TOKEN = '…'; irm @FOREMAN_URL@/install-agent.ps1 | iex
#
# FOREMAN_BIN_DIR   where to put the program; %ProgramFiles%\Foreman for an administrator,
#                   %LOCALAPPDATA%\Programs\Foreman otherwise
# FOREMAN_OWNER, FOREMAN_DASHBOARD and FOREMAN_CLOUDFLARE are the agent's own, see `foreman-agent connect --help`.
#
# Everything is inside functions and the last line calls them, so a download that was cut short does nothing.

function Install-ForemanAgent {
    $ErrorActionPreference = 'Stop'
    $ProgressPreference = 'SilentlyContinue'
    [Net.ServicePointManager]::SecurityProtocol =
        [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
    $url = '@FOREMAN_URL@'.TrimEnd('/')
    if ($url -notmatch '^https?://') {
        throw 'foreman: This script must come from a Foreman server, which puts its own address in.'
    }
    if ($env:PROCESSOR_ARCHITECTURE -ne 'AMD64') {
        throw "foreman: There is no agent for this processor ($env:PROCESSOR_ARCHITECTURE); there is one for x86-64."
    }
    $identity = [Security.Principal.WindowsIdentity]::GetCurrent()
    $role = [Security.Principal.WindowsBuiltInRole]::Administrator
    $admin = ([Security.Principal.WindowsPrincipal]$identity).IsInRole($role)
    $dir = if ($env:FOREMAN_BIN_DIR) { $env:FOREMAN_BIN_DIR }
        elseif ($admin) { Join-Path $env:ProgramFiles 'Foreman' }
        else { Join-Path $env:LOCALAPPDATA 'Programs\Foreman' }
    $agent = Join-Path $dir 'foreman-agent.exe'
    New-Item -ItemType Directory -Force -Path $dir | Out-Null

    Update-ForemanAgent $url 'foreman-agent-x86_64-windows' $dir $agent
    if ($env:Path -split ';' -notcontains $dir) { "Note: $dir is not on your PATH." }

    if (-not $env:FOREMAN_TOKEN) {
        'Next, connect this device with the command shown in the dashboard:'
        "  & '$agent' connect --server $url --token …"
        return
    }
    # The token stays in the environment: other users can read a command line, and not that.
    & $agent connect --server $url --detach
    if ($LASTEXITCODE -ne 0) {
        throw 'foreman: The agent is installed, but the device was not connected; the reason is above.'
    }
    Remove-Item Env:FOREMAN_TOKEN
    if (-not $admin) {
        "The device is connected. To keep the agent running, open a console as administrator and run: & '$agent' install-service --state `"$env:LOCALAPPDATA\Foreman\agent`""
        return
    }
    & $agent install-service
    if ($LASTEXITCODE -ne 0) {
        throw "foreman: The device is connected, but no service was installed; start the agent with: & '$agent' run"
    }
}

function Update-ForemanAgent($url, $name, $dir, $agent) {
    $answer = Get-ForemanText "$url/downloads/$name.sha256"
    $wanted = ($answer -split '\s')[0]
    if ($wanted -notmatch '^[0-9a-f]{64}$') {
        throw "foreman: The server's checksum for $name cannot be read. Nothing was changed."
    }
    if ((Test-Path $agent) -and (Get-FileHash $agent -Algorithm SHA256).Hash.ToLower() -eq $wanted) {
        "The Foreman agent in $agent is already up to date."
        return
    }
    "Downloading $name from $url …"
    # Beside the target, so that the last step is one rename on the same file system.
    $new = Join-Path $dir ".foreman-agent.$PID.exe"
    $old = Join-Path $dir ".foreman-agent.$PID.old"
    try {
        Invoke-WebRequest -UseBasicParsing -Uri "$url/downloads/$name" -OutFile $new
        $found = (Get-FileHash $new -Algorithm SHA256).Hash.ToLower()
        if ($found -ne $wanted) {
            throw "foreman: The download does not match its checksum (expected $wanted, got $found). Nothing was changed."
        }
        $version = & $new --version
        if ($LASTEXITCODE -ne 0) {
            throw 'foreman: The downloaded agent does not start on this system. Nothing was changed.'
        }
        # A program that runs can be renamed, not replaced; it is removed the next time.
        Get-ChildItem $dir -Filter '.foreman-agent.*.old' -Force | Remove-Item -Force -ErrorAction SilentlyContinue
        if (Test-Path $agent) { Move-Item -Force $agent $old }
        Move-Item -Force $new $agent
        "Installed $version in $agent."
        $service = Get-Service foreman-agent -ErrorAction SilentlyContinue
        if ($service -and $service.Status -eq 'Running') { Restart-Service foreman-agent }
    } finally {
        Remove-Item -Force $new -ErrorAction SilentlyContinue
    }
}

function Get-ForemanText($address) {
    try {
        $content = (Invoke-WebRequest -UseBasicParsing -Uri $address).Content
    } catch {
        throw "foreman: The server has no agent for this system, or cannot be reached ($address). Nothing was changed."
    }
    if ($content -is [byte[]]) { return [Text.Encoding]::ASCII.GetString($content) }
    return $content
}

Install-ForemanAgent
