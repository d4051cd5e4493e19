// Times as text for files that machines read.
#pragma once

#include <chrono>
#include <string>

namespace ae {

// "2026-11-29T05:00:00Z": to the second, in UTC (RFC 3339).
std::string utc_text(std::chrono::system_clock::time_point time);

}  // namespace ae
