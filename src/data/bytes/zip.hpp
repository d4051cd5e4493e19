// Members of a ZIP archive (PKWARE APPNOTE 6.3): stored or deflated, with ZIP64 sizes; neither encrypted nor split.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/bytes/source.hpp"

namespace ae::data {

struct ZipMember {
  std::string name;
  std::uint16_t flags = 0;
  std::uint16_t method = 0;
  std::uint32_t crc = 0;
  std::uint64_t compressed_size = 0;
  std::uint64_t size = 0;
  std::uint64_t header_offset = 0;
};

// The archive's directory, in its order. InputError when the file is no archive or the directory is damaged.
std::vector<ZipMember> read_zip_directory(RandomAccess& file);

// The member's bytes; named "FILE[MEMBER]" in messages. Wrong sizes and checksums are InputError at the latest when the
// member ends.
std::unique_ptr<ByteSource> open_zip_member(std::shared_ptr<RandomAccess> file, const ZipMember& member);

}  // namespace ae::data
