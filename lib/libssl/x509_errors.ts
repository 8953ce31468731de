// X509_V_*: what SSL_get_verify_result returns.

import { constant, optionalConstant } from './bind.js'

/** The certificate is good, or there was none. @see X509_STORE_CTX_get_error(3) */
export const X509_V_OK: number = constant('X509_V_OK')
/** An error without a number of its own. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNSPECIFIED: number = constant('X509_V_ERR_UNSPECIFIED')
/** The issuer of a certificate in the trust store was not found. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT: number = constant('X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT')
/** A revocation list was not found. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNABLE_TO_GET_CRL: number = constant('X509_V_ERR_UNABLE_TO_GET_CRL')
/** A certificate's signature could not be decrypted. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE: number = constant(
  'X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE',
)
/** A revocation list's signature could not be decrypted. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE: number = constant('X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE')
/** The issuer's key could not be read. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY: number = constant(
  'X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
)
/** A certificate's signature is wrong. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CERT_SIGNATURE_FAILURE: number = constant('X509_V_ERR_CERT_SIGNATURE_FAILURE')
/** A revocation list's signature is wrong. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CRL_SIGNATURE_FAILURE: number = constant('X509_V_ERR_CRL_SIGNATURE_FAILURE')
/** A certificate's time has not begun. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CERT_NOT_YET_VALID: number = constant('X509_V_ERR_CERT_NOT_YET_VALID')
/** A certificate's time is over. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CERT_HAS_EXPIRED: number = constant('X509_V_ERR_CERT_HAS_EXPIRED')
/** A revocation list's time has not begun. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CRL_NOT_YET_VALID: number = constant('X509_V_ERR_CRL_NOT_YET_VALID')
/** A revocation list's time is over. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CRL_HAS_EXPIRED: number = constant('X509_V_ERR_CRL_HAS_EXPIRED')
/** A certificate's begin is no valid time. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD: number = constant('X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD')
/** A certificate's end is no valid time. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD: number = constant('X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD')
/** A revocation list's begin is no valid time. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD: number = constant('X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD')
/** A revocation list's end is no valid time. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD: number = constant('X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD')
/** Memory was short. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_OUT_OF_MEM: number = constant('X509_V_ERR_OUT_OF_MEM')
/** The peer's certificate is self-signed and not trusted. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: number = constant('X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT')
/** The chain ends in a root that is not trusted. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: number = constant('X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN')
/** The issuer of a certificate from the peer was not found. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: number = constant(
  'X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
)
/** The chain has one certificate only, and its issuer was not found. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: number = constant('X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE')
/** The chain is longer than the depth allows. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CERT_CHAIN_TOO_LONG: number = constant('X509_V_ERR_CERT_CHAIN_TOO_LONG')
/** A certificate was revoked. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CERT_REVOKED: number = constant('X509_V_ERR_CERT_REVOKED')
/** The issuer's certificate has no key. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_NO_ISSUER_PUBLIC_KEY: number | undefined = optionalConstant('X509_V_ERR_NO_ISSUER_PUBLIC_KEY')
/** A certificate that signed another may not. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_INVALID_CA: number = constant('X509_V_ERR_INVALID_CA')
/** An authority's limit on the length of the chain was passed. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_PATH_LENGTH_EXCEEDED: number = constant('X509_V_ERR_PATH_LENGTH_EXCEEDED')
/** A certificate is not meant for this use. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_INVALID_PURPOSE: number = constant('X509_V_ERR_INVALID_PURPOSE')
/** The root is not trusted for this use. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CERT_UNTRUSTED: number = constant('X509_V_ERR_CERT_UNTRUSTED')
/** The root is marked as refused for this use. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CERT_REJECTED: number = constant('X509_V_ERR_CERT_REJECTED')
/** An issuer's name does not fit. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SUBJECT_ISSUER_MISMATCH: number = constant('X509_V_ERR_SUBJECT_ISSUER_MISMATCH')
/** An issuer's key identifier does not fit. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_AKID_SKID_MISMATCH: number = constant('X509_V_ERR_AKID_SKID_MISMATCH')
/** An issuer's name and serial number do not fit the key identifier. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_AKID_ISSUER_SERIAL_MISMATCH: number = constant('X509_V_ERR_AKID_ISSUER_SERIAL_MISMATCH')
/** An issuer may not sign certificates. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_KEYUSAGE_NO_CERTSIGN: number = constant('X509_V_ERR_KEYUSAGE_NO_CERTSIGN')
/** The issuer of a revocation list was not found. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER: number = constant('X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER')
/** A certificate has a critical extension that OpenSSL does not know. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION: number = constant('X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION')
/** An issuer may not sign revocation lists. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_KEYUSAGE_NO_CRL_SIGN: number = constant('X509_V_ERR_KEYUSAGE_NO_CRL_SIGN')
/** A revocation list has a critical extension that OpenSSL does not know. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION: number = constant(
  'X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION',
)
/** A certificate pretends to be no authority where it has to be none. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_INVALID_NON_CA: number = constant('X509_V_ERR_INVALID_NON_CA')
/** A proxy certificate's limit on the length of the chain was passed. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED: number = constant('X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED')
/** A proxy's issuer may not sign. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE: number = constant('X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE')
/** Proxy certificates were not allowed. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_PROXY_CERTIFICATES_NOT_ALLOWED: number = constant('X509_V_ERR_PROXY_CERTIFICATES_NOT_ALLOWED')
/** An extension is malformed. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_INVALID_EXTENSION: number = constant('X509_V_ERR_INVALID_EXTENSION')
/** A policy extension is malformed. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_INVALID_POLICY_EXTENSION: number = constant('X509_V_ERR_INVALID_POLICY_EXTENSION')
/** A policy was demanded and there is none. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_NO_EXPLICIT_POLICY: number = constant('X509_V_ERR_NO_EXPLICIT_POLICY')
/** The only revocation list found is for other certificates. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_DIFFERENT_CRL_SCOPE: number = constant('X509_V_ERR_DIFFERENT_CRL_SCOPE')
/** An extension asks for something OpenSSL cannot do. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNSUPPORTED_EXTENSION_FEATURE: number = constant('X509_V_ERR_UNSUPPORTED_EXTENSION_FEATURE')
/** A certificate's addresses are not within its issuer's. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNNESTED_RESOURCE: number = constant('X509_V_ERR_UNNESTED_RESOURCE')
/** A name is outside of those an authority may sign. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_PERMITTED_VIOLATION: number = constant('X509_V_ERR_PERMITTED_VIOLATION')
/** A name is among those an authority may not sign. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_EXCLUDED_VIOLATION: number = constant('X509_V_ERR_EXCLUDED_VIOLATION')
/** A name constraint uses minimum or maximum, which OpenSSL cannot do. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SUBTREE_MINMAX: number = constant('X509_V_ERR_SUBTREE_MINMAX')
/** The application said no. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_APPLICATION_VERIFICATION: number = constant('X509_V_ERR_APPLICATION_VERIFICATION')
/** A name constraint is of a kind OpenSSL does not know. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE: number = constant('X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE')
/** A name constraint is malformed. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX: number = constant('X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX')
/** A name is malformed. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNSUPPORTED_NAME_SYNTAX: number = constant('X509_V_ERR_UNSUPPORTED_NAME_SYNTAX')
/** The chain of a revocation list is bad. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CRL_PATH_VALIDATION_ERROR: number = constant('X509_V_ERR_CRL_PATH_VALIDATION_ERROR')
/** The chain goes in a circle. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_PATH_LOOP: number = constant('X509_V_ERR_PATH_LOOP')
/** Suite B: wrong certificate version. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SUITE_B_INVALID_VERSION: number = constant('X509_V_ERR_SUITE_B_INVALID_VERSION')
/** Suite B: wrong key algorithm. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SUITE_B_INVALID_ALGORITHM: number = constant('X509_V_ERR_SUITE_B_INVALID_ALGORITHM')
/** Suite B: wrong curve. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SUITE_B_INVALID_CURVE: number = constant('X509_V_ERR_SUITE_B_INVALID_CURVE')
/** Suite B: wrong signature algorithm. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SUITE_B_INVALID_SIGNATURE_ALGORITHM: number = constant(
  'X509_V_ERR_SUITE_B_INVALID_SIGNATURE_ALGORITHM',
)
/** Suite B: wrong level of security. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SUITE_B_LOS_NOT_ALLOWED: number = constant('X509_V_ERR_SUITE_B_LOS_NOT_ALLOWED')
/** Suite B: a P-256 key signed a P-384 key. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SUITE_B_CANNOT_SIGN_P_384_WITH_P_256: number = constant(
  'X509_V_ERR_SUITE_B_CANNOT_SIGN_P_384_WITH_P_256',
)
/** The certificate is for another host. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_HOSTNAME_MISMATCH: number = constant('X509_V_ERR_HOSTNAME_MISMATCH')
/** The certificate is for another mail address. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_EMAIL_MISMATCH: number = constant('X509_V_ERR_EMAIL_MISMATCH')
/** The certificate is for another IP address. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_IP_ADDRESS_MISMATCH: number = constant('X509_V_ERR_IP_ADDRESS_MISMATCH')
/** No TLSA record fits the certificate. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_DANE_NO_MATCH: number = constant('X509_V_ERR_DANE_NO_MATCH')
/** The peer's key is too weak for the security level. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_EE_KEY_TOO_SMALL: number = constant('X509_V_ERR_EE_KEY_TOO_SMALL')
/** An authority's key is too weak for the security level. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CA_KEY_TOO_SMALL: number = constant('X509_V_ERR_CA_KEY_TOO_SMALL')
/** A signature's digest is too weak for the security level. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CA_MD_TOO_WEAK: number = constant('X509_V_ERR_CA_MD_TOO_WEAK')
/** Verification was called with something missing. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_INVALID_CALL: number = constant('X509_V_ERR_INVALID_CALL')
/** The trust store failed. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_STORE_LOOKUP: number = constant('X509_V_ERR_STORE_LOOKUP')
/** Certificate transparency was demanded and no valid timestamp came. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_NO_VALID_SCTS: number = constant('X509_V_ERR_NO_VALID_SCTS')
/** A proxy certificate's name does not extend its issuer's. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_PROXY_SUBJECT_NAME_VIOLATION: number = constant('X509_V_ERR_PROXY_SUBJECT_NAME_VIOLATION')
/** An OCSP answer is needed. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_OCSP_VERIFY_NEEDED: number = constant('X509_V_ERR_OCSP_VERIFY_NEEDED')
/** An OCSP answer could not be verified. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_OCSP_VERIFY_FAILED: number = constant('X509_V_ERR_OCSP_VERIFY_FAILED')
/** The OCSP responder does not know the certificate. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_OCSP_CERT_UNKNOWN: number = constant('X509_V_ERR_OCSP_CERT_UNKNOWN')
/** A signature's algorithm is not known. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM: number | undefined = optionalConstant(
  'X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM',
)
/** An issuer's key is of another kind than the signature. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH: number | undefined = optionalConstant(
  'X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH',
)
/** A certificate names two signature algorithms. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SIGNATURE_ALGORITHM_INCONSISTENCY: number | undefined = optionalConstant(
  'X509_V_ERR_SIGNATURE_ALGORITHM_INCONSISTENCY',
)
/** Strict: no authority, but a path length. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA: number | undefined = optionalConstant(
  'X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA',
)
/** Strict: a path length without the right to sign certificates. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_PATHLEN_WITHOUT_KU_KEY_CERT_SIGN: number | undefined = optionalConstant(
  'X509_V_ERR_PATHLEN_WITHOUT_KU_KEY_CERT_SIGN',
)
/** Strict: no authority, but the right to sign certificates. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA: number | undefined = optionalConstant(
  'X509_V_ERR_KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA',
)
/** Strict: an issuer without a name. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_ISSUER_NAME_EMPTY: number | undefined = optionalConstant('X509_V_ERR_ISSUER_NAME_EMPTY')
/** Strict: a subject without a name. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SUBJECT_NAME_EMPTY: number | undefined = optionalConstant('X509_V_ERR_SUBJECT_NAME_EMPTY')
/** Strict: no identifier of the issuer's key. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_MISSING_AUTHORITY_KEY_IDENTIFIER: number | undefined = optionalConstant(
  'X509_V_ERR_MISSING_AUTHORITY_KEY_IDENTIFIER',
)
/** Strict: an authority without an identifier of its key. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_MISSING_SUBJECT_KEY_IDENTIFIER: number | undefined = optionalConstant(
  'X509_V_ERR_MISSING_SUBJECT_KEY_IDENTIFIER',
)
/** Strict: an alternative name that is empty. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_EMPTY_SUBJECT_ALT_NAME: number | undefined = optionalConstant(
  'X509_V_ERR_EMPTY_SUBJECT_ALT_NAME',
)
/** Strict: no subject, and alternative names that are not critical. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_EMPTY_SUBJECT_SAN_NOT_CRITICAL: number | undefined = optionalConstant(
  'X509_V_ERR_EMPTY_SUBJECT_SAN_NOT_CRITICAL',
)
/** Strict: an authority whose basic constraints are not critical. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CA_BCONS_NOT_CRITICAL: number | undefined = optionalConstant('X509_V_ERR_CA_BCONS_NOT_CRITICAL')
/** Strict: an identifier of the issuer's key that is critical. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_AUTHORITY_KEY_IDENTIFIER_CRITICAL: number | undefined = optionalConstant(
  'X509_V_ERR_AUTHORITY_KEY_IDENTIFIER_CRITICAL',
)
/** Strict: an identifier of the subject's key that is critical. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_SUBJECT_KEY_IDENTIFIER_CRITICAL: number | undefined = optionalConstant(
  'X509_V_ERR_SUBJECT_KEY_IDENTIFIER_CRITICAL',
)
/** Strict: an authority without key usage. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CA_CERT_MISSING_KEY_USAGE: number | undefined = optionalConstant(
  'X509_V_ERR_CA_CERT_MISSING_KEY_USAGE',
)
/** Strict: extensions in a certificate that is not version 3. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_EXTENSIONS_REQUIRE_VERSION_3: number | undefined = optionalConstant(
  'X509_V_ERR_EXTENSIONS_REQUIRE_VERSION_3',
)
/** A key spells its curve out instead of naming it. Since 3.0. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_EC_KEY_EXPLICIT_PARAMS: number | undefined = optionalConstant(
  'X509_V_ERR_EC_KEY_EXPLICIT_PARAMS',
)
/** A raw public key is not among the trusted ones. Since 3.2. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_RPK_UNTRUSTED: number | undefined = optionalConstant('X509_V_ERR_RPK_UNTRUSTED')
/** An OCSP answer is malformed. Since 3.6. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_OCSP_RESP_INVALID: number | undefined = optionalConstant('X509_V_ERR_OCSP_RESP_INVALID')
/** An OCSP answer's signature is wrong. Since 3.6. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_OCSP_SIGNATURE_FAILURE: number | undefined = optionalConstant(
  'X509_V_ERR_OCSP_SIGNATURE_FAILURE',
)
/** An OCSP answer's time has not begun. Since 3.6. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_OCSP_NOT_YET_VALID: number | undefined = optionalConstant('X509_V_ERR_OCSP_NOT_YET_VALID')
/** An OCSP answer's time is over. Since 3.6. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_OCSP_HAS_EXPIRED: number | undefined = optionalConstant('X509_V_ERR_OCSP_HAS_EXPIRED')
/** No OCSP answer came. Since 3.6. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_OCSP_NO_RESPONSE: number | undefined = optionalConstant('X509_V_ERR_OCSP_NO_RESPONSE')
/** A revocation list could not be verified. Since 3.6. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_CRL_VERIFY_FAILED: number | undefined = optionalConstant('X509_V_ERR_CRL_VERIFY_FAILED')
/** An identifier of the issuer's key is empty. Absent from 3.6 and before. @see X509_STORE_CTX_get_error(3) */
export const X509_V_ERR_EMPTY_AUTHORITY_KEY_IDENTIFIER: number | undefined = optionalConstant(
  'X509_V_ERR_EMPTY_AUTHORITY_KEY_IDENTIFIER',
)
/**
 * An identifier of the issuer's key has only one of name and serial number. Absent from 3.6 and before.
 * @see X509_STORE_CTX_get_error(3)
 */
export const X509_V_ERR_AKID_ISSUER_SERIAL_NOT_PAIRED: number | undefined = optionalConstant(
  'X509_V_ERR_AKID_ISSUER_SERIAL_NOT_PAIRED',
)
/**
 * A revocation list claims to be for two kinds of certificates only. Absent from 3.6 and before.
 * @see X509_STORE_CTX_get_error(3)
 */
export const X509_V_ERR_IDP_ONLY_USER_CA_ATTR_EXCLUSIVE: number | undefined = optionalConstant(
  'X509_V_ERR_IDP_ONLY_USER_CA_ATTR_EXCLUSIVE',
)
