#include <array>

#include "recipe/makers.hpp"

namespace ae::recipe {

// The registry is all that this file defines: a program that is linked with another one in its place has other kinds.
std::span<const config::Entry<KindOptions>> kinds() {
  static const std::array kKinds{kTableKind, kImageKind, kCountsKind, kArrayKind, kStructureKind};
  return kKinds;
}

}  // namespace ae::recipe
