#include "data/hdf5/library.hpp"

#include <algorithm>
#include <string_view>

#include "base/text.hpp"
#include "data/hdf5/filters.hpp"

namespace ae::data::hdf5 {

void begin() {
  static const bool begun = [] {
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    register_filters();
    return true;
  }();
  (void)begun;
}

std::string last_cause() {
  std::string cause;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned depth, const H5E_error2_t* error, void* to) -> herr_t {
        if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(to) = error->desc;
        return 0;
      },
      &cause);
  constexpr std::string_view kOfSystem = "error message = '";
  if (const auto at = cause.find(kOfSystem); at != std::string::npos) {
    cause.erase(0, at + kOfSystem.size());
    cause.resize(std::min(cause.size(), cause.find('\'')));
  }
  return printable(cause.empty() ? "it is damaged" : cause);
}

}  // namespace ae::data::hdf5
