"""The APK format: versions, dependency atoms, PKGINFO, archives, indexes and signatures."""
