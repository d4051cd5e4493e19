// What a file is that was given to a reader of something else, told by how it begins.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "data/bytes/source.hpp"

namespace ae::data {

struct FileType {
  std::string_view what;       // "a PNG image"
  std::string_view kind;       // the /data/type that reads it; "" when none does
  std::string_view fix;        // what helps where no other kind does: "convert it to PNG"
  std::string_view also = {};  // a further kind, and of what: "of a replay buffer to \"arrays\""
};

// The first 4096 bytes of `source`, or fewer when it ends or its writer lets us wait.
std::string read_head(ByteSource& source);

// `head`: a file's first bytes, of which 4096 are looked at. Null when they may be anything. A table whose first cells
// happen to look like the beginning of another format is not taken for that: binary formats must show bytes that text
// does not have, and formats that are text several whole lines, every one of them as the format wants it.
const FileType* recognise(std::string_view head);

// The same of a ZIP archive, by the names of its members.
const FileType* recognise_archive(std::span<const std::string> members);

// The same of a folder, by the names of files in it; of images, which have any names, it says nothing.
const FileType* recognise_folder(std::span<const std::string> files);

// The recipe to begin with for data of a /data/type; "" where none goes without settings of the data's own.
std::string_view recipe_for(std::string_view type);

// What to do with what another /data/type reads: "it is for /data/type "images" (to train: ae-train --recipe ...)".
std::string for_type(std::string_view type);

// "FILE: found a PNG image, expected a table; " and the fix, or for_type() of what it is. `kind` is the /data/type that
// was to read the file, or "" when that does not matter.
InputError wrong_kind(const std::string& name, const FileType& found, std::string_view kind, std::string_view expected);

}  // namespace ae::data
