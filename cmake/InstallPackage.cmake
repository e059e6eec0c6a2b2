# Installs the C++ libraries and what CMake and pkg-config need to find them, as component "cxx".
# The engine and the shim are not among them: they are found in torchdeploy_pkg, the Python package.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/torchdeploy)
# A folder of its own, as a system may have another dlpack.h.
set(dlpack_include_folder ${CMAKE_INSTALL_INCLUDEDIR}/torchdeploy/third_party)

# td_install(TARGET COMPONENT): one component of find_package(torchdeploy) and its pkg-config file.
function(td_install target component)
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${component} OUTPUT_NAME torchdeploy_${component})
  target_compile_features(${target} PUBLIC cxx_std_20)
  install(TARGETS ${target} ${ARGN} EXPORT torchdeploy-${component} COMPONENT cxx
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT cxx
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT cxx)
  install(EXPORT torchdeploy-${component} NAMESPACE torchdeploy:: DESTINATION ${package_folder}
    COMPONENT cxx)
endfunction()

# td_install_pkg_config(NAME)
function(td_install_pkg_config name)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
    COMPONENT cxx)
endfunction()

# To the prefix from lib/pkgconfig, so that what is installed can be moved.
file(RELATIVE_PATH prefix_from_pkg_config
  /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)

install(FILES ${PROJECT_BINARY_DIR}/include/dlpack/dlpack.h
  DESTINATION ${dlpack_include_folder}/dlpack COMPONENT cxx)
target_include_directories(dlpack SYSTEM INTERFACE $<INSTALL_INTERFACE:${dlpack_include_folder}>)
set_target_properties(dlpack PROPERTIES EXPORT_NAME dlpack)
install(TARGETS dlpack EXPORT torchdeploy-runtime COMPONENT cxx)
td_install(td_runtime runtime)
td_install_pkg_config(torchdeploy)
if(TORCHDEPLOY_BUILD_COMPAT)
  td_install(td_compat compat)
  td_install_pkg_config(torchdeploy-compat)
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/TorchOfProgram.cmake DESTINATION ${package_folder}
    COMPONENT cxx)
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/torchdeployConfig.cmake.in
  ${PROJECT_BINARY_DIR}/torchdeployConfig.cmake INSTALL_DESTINATION ${package_folder}
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/torchdeployConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/torchdeployConfig.cmake
  ${PROJECT_BINARY_DIR}/torchdeployConfigVersion.cmake DESTINATION ${package_folder}
  COMPONENT cxx)
