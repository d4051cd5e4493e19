# What `cmake --install` and CPack place where, in two components:
#   programs      the ae-* programs with man pages, shell completions and documents
#   development   static libraries, headers and the CMake package: find_package(aetools COMPONENTS core report cli hdf5 gemmi images torch)
include(CMakePackageConfigHelpers)
set(aetools_package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/aetools")

set(aetools_components core report cli)
if(AETOOLS_WITH_HDF5)
  list(APPEND aetools_components hdf5)
endif()
if(AETOOLS_WITH_GEMMI)
  list(APPEND aetools_components gemmi)
endif()
if(AETOOLS_WITH_IMAGES)
  list(APPEND aetools_components images)
endif()
if(AETOOLS_WITH_TORCH)
  list(APPEND aetools_components torch)
endif()
# One export set a component, so that who needs only the core needs no LibTorch either.
foreach(component IN LISTS aetools_components)
  set_target_properties(aetools_${component} PROPERTIES EXPORT_NAME ${component})
  install(TARGETS aetools_${component} EXPORT aetools_${component}
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
  install(EXPORT aetools_${component} NAMESPACE aetools:: FILE aetools_${component}.cmake
          DESTINATION "${aetools_package_folder}" COMPONENT development)
endforeach()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/src/" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/aetools COMPONENT development
        FILES_MATCHING PATTERN "*.hpp" PATTERN assets EXCLUDE)

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/aetoolsConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/package/aetoolsConfig.cmake" INSTALL_DESTINATION "${aetools_package_folder}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/aetoolsConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/package/aetoolsConfig.cmake" "${PROJECT_BINARY_DIR}/package/aetoolsConfigVersion.cmake"
        DESTINATION "${aetools_package_folder}" COMPONENT development)

foreach(page README CHANGELOG CONTRIBUTING SECURITY)
  install(FILES "${PROJECT_SOURCE_DIR}/${page}.md" DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT programs)
endforeach()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/docs" DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT programs)
foreach(package IN ITEMS "programs;aetools" "development;libaetools-dev")
  list(POP_FRONT package component)
  install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATAROOTDIR}/doc/${package}"
          RENAME copyright COMPONENT ${component})
endforeach()
# What the pages tell users to run, besides the programs.
install(PROGRAMS "${PROJECT_SOURCE_DIR}/scripts/draw-boards.py" "${PROJECT_SOURCE_DIR}/scripts/simulate-counts.py"
        "${PROJECT_SOURCE_DIR}/scripts/fetch-mnist.sh" "${PROJECT_SOURCE_DIR}/scripts/every-morning.sh"
        "${PROJECT_SOURCE_DIR}/scripts/sweep.sh" "${PROJECT_SOURCE_DIR}/scripts/benchmark.bash" DESTINATION ${CMAKE_INSTALL_DATADIR}/aetools/scripts COMPONENT programs)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/scripts/cluster" DESTINATION ${CMAKE_INSTALL_DATADIR}/aetools/scripts
        USE_SOURCE_PERMISSIONS COMPONENT programs)
# The configs are data of the programs, whose examples name them; the pages link to them from where they lie.
install(DIRECTORY "${PROJECT_SOURCE_DIR}/configs" DESTINATION ${CMAKE_INSTALL_DATADIR}/aetools COMPONENT programs)
file(RELATIVE_PATH configs_from_pages "${CMAKE_INSTALL_FULL_DOCDIR}" "${CMAKE_INSTALL_FULL_DATADIR}/aetools/configs")
install(CODE "
  set(link \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DOCDIR}/configs\")
  file(REMOVE_RECURSE \"\${link}\")
  file(CREATE_LINK \"${configs_from_pages}\" \"\${link}\" SYMBOLIC)" COMPONENT programs)

# `cpack -G DEB`: aetools and libaetools-dev.
set(CPACK_PACKAGE_NAME aetools)
set(CPACK_PACKAGE_VENDOR aetools)
set(CPACK_PACKAGE_CONTACT "aetools developers <aetools@localhost>")
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL programs development)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_NAME aetools)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_RECOMMENDS libopenblas0)  # LibTorch with the reference BLAS is several times slower
set(CPACK_COMPONENT_PROGRAMS_DESCRIPTION
"Learns what normal looks like from a table or from images, scores how strange
each row or image is and where, draws the ROC curve and chooses a threshold,
fills in missing cells.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libaetools-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
"Development files. Static libraries, headers and the CMake package of aetools.")
# The packages behind the targets that aetoolsConfig.cmake looks for.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "nlohmann-json3-dev, libeigen3-dev, zlib1g-dev, libpng-dev, libzstd-dev, libssl-dev, libcli11-dev, libspdlog-dev, pkg-config")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "libtorch-dev, libgloo-dev, libopencv-dev, libhdf5-dev, liblzf-dev, gemmi-dev, libopenblas-dev")
include(CPack)
