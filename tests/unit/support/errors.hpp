// What an action fails with.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"

namespace ae::test {

// The lines of the error that the action throws, none where it throws nothing. An exception of another kind than
// Expected goes on and fails the test.
template <typename Expected = Error, typename Action>
std::vector<std::string> errors_of(const Action& action) {
  try {
    action();
  } catch (const Expected& error) {
    return error.lines();
  }
  return {};
}

// The first of them, "no error" where there is none.
template <typename Expected = Error, typename Action>
std::string error_of(const Action& action) {
  const auto lines = errors_of<Expected>(action);
  return lines.empty() ? "no error" : lines.front();
}

}  // namespace ae::test
