// SIGINT, SIGTERM and SIGHUP set a flag; every long loop looks at it, saves what it has and throws Interrupted.
#pragma once

namespace ae {

void install_stop_signals();  // idempotent; also ignores SIGPIPE so that a closed pipe is a write error
int stop_signal() noexcept;   // 0, or the first stop signal received
const char* signal_name(int signal_number) noexcept;  // "SIGTERM" ...
void throw_if_stopped(
    const char* what);  // Interrupted("<what> stopped by SIGTERM") when the flag is set; for loops with nothing to save

}  // namespace ae
