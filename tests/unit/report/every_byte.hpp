#pragma once

#include <string_view>

namespace ae::test {

extern const std::string_view every_byte_bin;

}  // namespace ae::test
