"""Makes ``twistd easycall`` known to Twisted."""

from twisted.application.service import ServiceMaker

easycall = ServiceMaker("easycall", "easycall.tap", "A contact centre on top of Asterisk.", "easycall")
