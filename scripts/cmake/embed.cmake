# Embeds files of any content into a C++ source file as std::string_view constants.
#
#   include(embed)
#   aetools_embed(OUTPUT file.cpp NAMESPACE ae::report::assets HEADER report/assets.hpp FILES a.css b.js)
#
# defines `a_css` and `b_js` in that namespace; HEADER declares them. With INDEX and ROW, as in
#
#   aetools_embed(OUTPUT file.cpp NAMESPACE ae::recipe HEADER recipe/recipes.hpp INDEX recipes ROW config::Recipe FILES ...)
#
# it defines one function instead, which HEADER declares: `std::span<const config::Recipe> recipes()` with a row
# {name without its last extension, content} for each file. The file is written at build time, again whenever
# one of FILES changes. Every byte becomes a \xNN escape, so there is no delimiter, encoding or length to go wrong.

if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(AETOOLS_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

  function(aetools_embed)
    cmake_parse_arguments(PARSE_ARGV 0 embed "" "OUTPUT;NAMESPACE;HEADER;INDEX;ROW" "FILES")
    list(JOIN embed_FILES "|" joined)
    add_custom_command(
      OUTPUT "${embed_OUTPUT}"
      COMMAND "${CMAKE_COMMAND}" "-DOUTPUT=${embed_OUTPUT}" "-DNAMESPACE=${embed_NAMESPACE}" "-DHEADER=${embed_HEADER}"
              "-DINDEX=${embed_INDEX}" "-DROW=${embed_ROW}" "-DFILES=${joined}" -P "${AETOOLS_EMBED_SCRIPT}"
      DEPENDS ${embed_FILES} "${AETOOLS_EMBED_SCRIPT}"
      COMMENT "Embedding ${embed_NAMESPACE}"
      VERBATIM)
  endfunction()
  return()
endif()

set(text "// Generated from the files named below; edit those.\n#include \"${HEADER}\"\n\nnamespace ${NAMESPACE} {\n")
set(rows)
if(INDEX)
  string(APPEND text "namespace {\n")
endif()
string(REPLACE "|" ";" FILES "${FILES}")
foreach(file IN LISTS FILES)
  get_filename_component(name "${file}" NAME)
  string(MAKE_C_IDENTIFIER "${name}" symbol)
  file(SIZE "${file}" size)
  file(READ "${file}" bytes HEX)
  string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${bytes}")
  string(REPEAT "." 120 line)  # 30 bytes a line
  string(REGEX REPLACE "(${line})" "\\1\"\n    \"" bytes "${bytes}")
  string(APPEND text "\n// ${name}\nconst std::string_view ${symbol}{\n    \"${bytes}\",\n    ${size}};\n")
  get_filename_component(stem "${file}" NAME_WLE)
  string(APPEND rows "\n      {\"${stem}\", ${symbol}},")
endforeach()
if(INDEX)
  string(APPEND text "\n}  // namespace\n\nstd::span<const ${ROW}> ${INDEX}() {\n"
    "  static const ${ROW} rows[] = {${rows}\n  };\n  return rows;\n}\n")
endif()
string(APPEND text "\n}  // namespace ${NAMESPACE}\n")
file(WRITE "${OUTPUT}" "${text}")
